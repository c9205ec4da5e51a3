//! Every bound, those of callers in `limits/callers.rs`. Sizes in bytes, durations in milliseconds, as the names say. Past a
//! bound there is always a typed error, never a silent cut.

mod callers;
mod operations;

pub use callers::*;
pub use operations::*;

/// The longest name of a stream.
pub const STREAM_NAME_BYTES_MAX: usize = 200;
/// The largest single event (its JSON). KurrentDB refuses more than 1 MiB per append by default.
pub const EVENT_BYTES_MAX: usize = 768 * 1024;
/// The most events in one append.
pub const APPEND_EVENTS_MAX: usize = 256;
/// The most bytes of JSON in one append. KurrentDB counts metadata too, hence the room below 1 MiB.
pub const APPEND_BYTES_MAX: usize = 896 * 1024;
/// The most events one read returns.
pub const READ_EVENTS_MAX: usize = 4096;
/// Appends waiting for the embedded log's writer; a further one waits for room.
pub const LOG_QUEUE_MAX: usize = 8192;
/// Appends that share one commit of the embedded log.
pub const GROUP_COMMIT_MAX: usize = 1024;
/// Bytes of JSON after which a commit of the embedded log takes no further append.
pub const GROUP_COMMIT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long the embedded log waits for a foreign lock on its file before it gives up.
pub const LOG_LOCK_WAIT_MS_MAX: u64 = 2_000;
/// Connections that read the embedded log at once.
pub const LOG_READERS_MAX: usize = 3;
/// Streams whose last revision the embedded log's writer keeps in memory.
pub const LOG_STREAMS_CACHED_MAX: usize = 65_536;
/// Recent events that the embedded log keeps in memory for its live readers.
pub const LOG_TAIL_EVENTS_MAX: usize = 16_384;
/// Bytes of JSON in those recent events.
pub const LOG_TAIL_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Batches a subscription may be ahead of its reader.
pub const SUBSCRIPTION_BATCHES_MAX: usize = 4;
/// Events in one batch of a subscription.
pub const SUBSCRIPTION_BATCH_EVENTS_MAX: usize = 2048;
/// Bytes of JSON after which a batch of a subscription takes no further event.
pub const SUBSCRIPTION_BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A payload larger than this is stored once in a `blob-` stream and referenced.
pub const PAYLOAD_INLINE_BYTES_MAX: usize = 32 * 1024;
/// One chunk of a stored payload, after compression.
pub const PAYLOAD_CHUNK_BYTES_MAX: usize = 512 * 1024;
/// The largest payload of any kind (flow definition, run output), before compression.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The largest file that a flow may be made from here.
pub const FLOW_FILE_BYTES_MAX: usize = 1536 * 1024;
/// Nodes of a flow that is made here.
pub const FLOW_NODES_MAX: usize = 1_000;
/// Flows that one request may name to be synced.
pub const FLOWS_NAMED_MAX: usize = 100;
/// Lines in which a flow's changes are summed up.
pub const FLOW_SUMMARY_LINES_MAX: usize = 20;
/// Characters of a value that the answer to a sync shows.
pub const FLOW_VALUE_CHARS_MAX: usize = 200;
/// The highest limit of runs at once that a flow may be given.
pub const FLOW_RUNS_MAX: u32 = SOURCE_RUNS_MAX;
/// How often synced flows are compared with what their sources have.
pub const DRIFT_EVERY_MS_DEFAULT: u64 = 5 * 60_000;
/// The shortest time between two such comparisons.
pub const DRIFT_EVERY_MS_MIN: u64 = 1_000;
/// How long the comparison of one flow right before its run may take.
pub const DRIFT_CHECK_MS_MAX: u64 = 5_000;
/// The longest pause between two flows that are fetched only to be compared.
pub const DRIFT_PAUSE_MS_MAX: u64 = 1_000;
/// The shortest start of a version's hash that may stand for it, in hexadecimal digits.
pub const VERSION_PREFIX_DIGITS_MIN: usize = 4;

/// The longest input of a task.
pub const TASK_INPUT_BYTES_MAX: usize = 1024 * 1024;
/// The largest answer read from a LangFlow server.
pub const RESPONSE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long connecting to a source may take.
pub const SOURCE_CONNECT_MS_MAX: u64 = 5_000;
/// How long one short call to a source may take (a probe, a submission, a poll).
pub const SOURCE_CALL_MS_MAX: u64 = 30_000;
/// How long a source may take to list its flows or its catalogue of components.
pub const SOURCE_LIST_MS_MAX: u64 = 60_000;
/// Redirects that are followed within one source.
pub const SOURCE_REDIRECTS_MAX: usize = 3;
/// How long an unused connection to a source is kept. LangFlow's own server closes it after 5 s.
pub const SOURCE_IDLE_MS_MAX: u64 = 4_000;
/// The longest path of a request to a source of the kind `http`.
pub const HTTP_PATH_BYTES_MAX: usize = 2_000;
/// The longest name of a header that is sent to such a source.
pub const HEADER_NAME_BYTES_MAX: usize = 100;
/// The longest value of a header that is sent to such a source.
pub const HEADER_VALUE_BYTES_MAX: usize = 4 * 1024;
/// The most headers of a request to such a source, beside our own.
pub const HTTP_HEADERS_MAX: usize = 32;
/// The largest body template of a request to such a source.
pub const HTTP_BODY_TEMPLATE_BYTES_MAX: usize = 256 * 1024;
/// The largest body that a template may become with its input filled in.
pub const HTTP_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The first pause between two looks at a background job.
pub const JOB_POLL_MS_MIN: u64 = 50;
/// The longest pause between two looks at a background job.
pub const JOB_POLL_MS_MAX: u64 = 1_000;
/// How long a source may be away while a background job of ours lives there. LangFlow takes up to
/// 80 s to start.
pub const JOB_UNREACHABLE_MS_MAX: u64 = 120_000;
/// How long a background job may stay queued after LangFlow was away. LangFlow forgets the jobs
/// that were queued when it went down, but goes on calling them queued.
pub const JOB_QUEUED_AFTER_OUTAGE_MS_MAX: u64 = 60_000;
/// How often the submission of a background job is repeated, when its answer was lost.
pub const JOB_SUBMIT_RETRIES_MAX: u32 = 5;
/// How often a job that failed without a reason is looked at again: right after a stop LangFlow
/// says so for a moment.
pub const JOB_UNEXPLAINED_LOOKS_MAX: u32 = 3;
/// How long the stop of a background job may take to be confirmed.
pub const JOB_STOP_MS_MAX: u64 = 8_000;
/// How long fetching a run's log of components may take.
pub const ATTEMPT_LOG_MS_MAX: u64 = 2_000;
/// How much of an error body is kept.
pub const ERROR_BODY_BYTES_MAX: usize = 4 * 1024;
/// The longest message of a failure.
pub const FAILURE_MESSAGE_BYTES_MAX: usize = 8 * 1024;
/// Component entries recorded for one attempt.
pub const ATTEMPT_LOG_ENTRIES_MAX: usize = 200;
/// The largest body of an API request.
pub const REQUEST_BODY_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// The longest name or reason a user may give.
pub const NAME_BYTES_MAX: usize = 200;
/// The longest reason or note a user may give.
pub const REASON_BYTES_MAX: usize = 2_000;

/// The most attempts a retry policy may allow.
pub const ATTEMPTS_MAX: u32 = 100;
/// The longest delay between two attempts.
pub const RETRY_DELAY_MS_MAX: u64 = 7 * 24 * 3_600_000;
/// The default and the longest time of one attempt.
pub const ATTEMPT_TIMEOUT_MS_DEFAULT: u64 = 600_000;
/// The longest time one attempt may be given.
pub const ATTEMPT_TIMEOUT_MS_MAX: u64 = 24 * 3_600_000;
/// The shortest limit of a task's time that may be set, whichever it is.
pub const TASK_TIMEOUT_MS_MIN: u64 = 1_000;
/// The longest time a task may be given to wait for an attempt, or for everything together.
pub const TASK_TIMEOUT_MS_MAX: u64 = 30 * 24 * 3_600_000;
/// The highest priority of a task; the lowest is the same below zero.
pub const PRIORITY_MAX: i32 = 100;

/// The shortest interval of a schedule.
pub const INTERVAL_MS_MIN: u64 = 1_000;
/// The longest interval of a schedule: 100 years.
pub const INTERVAL_MS_MAX: u64 = 100 * 366 * 24 * 3_600_000;
/// The longest cron expression.
pub const CRON_EXPRESSION_BYTES_MAX: usize = 256;
/// How far ahead a cron expression's next match is searched. A 29 February on a given weekday is up
/// to 40 years away.
pub const CRON_SEARCH_YEARS_MAX: i32 = 48;
/// Recurrences that make up one timetable.
pub const TIMETABLE_SPECS_MAX: usize = 16;
/// Exclusions of one timetable.
pub const TIMETABLE_EXCLUSIONS_MAX: usize = 64;
/// Excluded instants, or whole excluded stretches where they can be told, that one search for an
/// occurrence passes over. Beyond it nothing comes any more.
pub const EXCLUDED_SKIPS_MAX: usize = 100_000;
/// How far a start may be moved behind its due instant.
pub const JITTER_MS_MAX: u64 = 24 * 3_600_000;
/// Occurrences counted one by one; what goes beyond is estimated.
pub const COUNTED_MAX: u64 = 1_000_000;
/// The shortest catch-up window.
pub const CATCH_UP_MS_MIN: u64 = 10_000;
/// Our default catch-up window: this or one interval, whichever is longer.
pub const CATCH_UP_MS_DEFAULT: u64 = 3_600_000;
/// The longest catch-up window.
pub const CATCH_UP_MS_MAX: u64 = 365 * 24 * 3_600_000;
/// Events of one wake of a schedule; what is left is dealt with by the next wake, at once. One
/// append must hold them and what follows from them.
pub const WAKE_EVENTS_MAX: usize = 200;
/// Starts of one schedule that wait for the end of what is open; a further one is dropped.
pub const BUFFERED_STARTS_MAX: usize = 1_000;
/// Instants of one backfill.
pub const BACKFILL_INSTANTS_MAX: usize = 10_000;
/// Instants that the dry run of a backfill names one by one.
pub const BACKFILL_SHOWN_MAX: usize = 1_000;
/// Tasks that one pass of a backfill starts.
pub const BACKFILL_BATCH_MAX: usize = 10;
/// Tasks of one backfill that may be open at once.
pub const BACKFILL_ACTIVE_MAX: u32 = 100;
/// Backfills of one schedule under way at once.
pub const BACKFILLS_MAX: usize = 16;
/// Due instants walked in one wake of a schedule. What is left is walked by the next wake, at once.
pub const DUE_WALK_MAX: usize = 1_000;
/// Instants shown before and after an edit of a schedule.
pub const EDIT_SHOWN: usize = 5;
/// Instants one preview returns.
pub const PREVIEW_MAX: usize = 100;
/// How far ahead a schedule's timer is armed at most; then it is recomputed from the wall clock.
pub const TIMER_AHEAD_MS_MAX: u64 = 60_000;

/// How often an append is decided again after a conflict.
pub const CONFLICT_RETRIES_MAX: u32 = 8;
/// Commands under way at once; a further one is refused as overloaded.
pub const COMMANDS_IN_FLIGHT_MAX: usize = 4_096;
/// Open tasks at once; a further one is refused as overloaded.
pub const OPEN_TASKS_MAX: usize = 1_000_000;
/// Task actors alive at once; further open tasks wait as ids.
pub const LIVE_TASK_ACTORS_MAX: usize = 4_096;
/// How long a command may take before its caller is told it timed out (it may still happen).
pub const COMMAND_TIMEOUT_MS: u64 = 30_000;
/// How often every source is probed unless it is said otherwise.
pub const PROBE_EVERY_MS_DEFAULT: u64 = 60_000;
/// The shortest time between two probes of a source.
pub const PROBE_EVERY_MS_MIN: u64 = 1_000;
/// The longest time between two probes of a source.
pub const PROBE_EVERY_MS_MAX: u64 = 24 * 3_600_000;
/// Runs at once against one source unless it says otherwise.
pub const SOURCE_RUNS_DEFAULT: u32 = 4;
/// The highest limit of runs at once that a source may be given.
pub const SOURCE_RUNS_MAX: u32 = 1_000;
/// Runs at once in the built-in worker unless it says otherwise.
pub const WORKER_SLOTS_DEFAULT: u32 = 64;
/// Runs at once that a worker may be started with.
pub const WORKER_SLOTS_MAX: u32 = 1_000;
/// Workers in other processes that may be there at once.
pub const WORKERS_MAX: usize = 1_000;
/// The longest label of a worker.
pub const LABEL_BYTES_MAX: usize = 63;
/// Labels of one worker, or asked for by one source.
pub const LABELS_MAX: usize = 32;
/// How far a worker's clock may be off the server's.
pub const WORKER_CLOCK_MS_MAX: u64 = 5 * 60_000;
/// How long a worker may be silent before it counts as lost, unless it is said otherwise.
pub const WORKER_LOST_AFTER_MS_DEFAULT: u64 = 30_000;
/// The shortest such time that may be set.
pub const WORKER_LOST_AFTER_MS_MIN: u64 = 2_000;
/// The longest such time that may be set.
pub const WORKER_LOST_AFTER_MS_MAX: u64 = 10 * 60_000;
/// The longest wait of a worker's request for work.
pub const WORKER_POLL_MS_MAX: u64 = 10_000;
/// How long a worker that has asked for work may take to ask again before it is given none.
pub const WORKER_POLL_GAP_MS_MAX: u64 = 2_000;
/// Deliveries to a worker that one answer carries; what is left goes with the next.
pub const WORKER_DELIVERIES_MAX: usize = 256;
/// Bytes of JSON after which such an answer takes no further delivery.
pub const WORKER_ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a worker's request waits for its reports to be durable; what is not is said again.
pub const WORKER_RECEIPT_MS_MAX: u64 = 10_000;
/// The largest body with which a worker brings its reports: the largest result, with room.
pub const WORKER_REPORTS_BYTES_MAX: u64 = RESPONSE_BYTES_MAX as u64 + 8 * 1024 * 1024;
/// How long such a body may take to arrive.
pub const WORKER_REPORTS_BODY_MS_MAX: u64 = 60_000;
/// Reports that one request of a worker may bring.
pub const WORKER_REPORTS_MAX: usize = 1_024;
/// The first and the longest pause while the log is unavailable.
pub const LOG_RETRY_MS_MIN: u64 = 50;
/// The longest pause while the log is unavailable.
pub const LOG_RETRY_MS_MAX: u64 = 5_000;
/// The first pause before a crashed actor is started again.
pub const CRASH_BACKOFF_MS_MIN: u64 = 100;
/// The longest pause before a crashed actor is started again.
pub const CRASH_BACKOFF_MS_MAX: u64 = 60_000;
/// How long a run that reached its time limit may take to stop at the source.
pub const STOP_AFTER_TIMEOUT_MS_MAX: u64 = 15_000;
/// How long each level of the supervision tree may take to drain at shutdown.
pub const DRAIN_MS_MAX: u64 = 10_000;
/// Events after which the start-up index is written anew.
pub const INDEX_EVENTS_MAX: u64 = 50_000;

/// Alerts that there may be.
pub const ALERTS_MAX: usize = 100;
/// The longest URL of an alert.
pub const ALERT_URL_BYTES_MAX: usize = 2_048;
/// The span in which the messages of an alert about one kind of thing are counted.
pub const ALERT_WINDOW_MS: u64 = 60_000;
/// Messages of an alert about one kind of thing that may be raised within one such span; what
/// comes beyond it is gathered into one message at its end.
pub const ALERT_WINDOW_MESSAGES_MAX: u32 = 5;
/// Things of which a gathering message tells more than their number.
pub const ALERT_EXAMPLES_MAX: usize = 10;
/// Classes of failures that a gathering message counts apart.
pub const ALERT_CLASSES_MAX: usize = 20;
/// The most of a text from outside (a failure's message) in a message.
pub const ALERT_TEXT_CHARS_MAX: usize = 1_000;
/// The longest title of a message.
pub const ALERT_TITLE_CHARS_MAX: usize = 200;
/// Messages of an alert that are raised and not delivered; what happens beyond is gathered until
/// one of them is.
pub const ALERT_OPEN_MAX: usize = 50;
/// The pauses after each failed attempt to deliver a message; after the last one it is given up.
pub const ALERT_RETRY_MS: [u64; 9] = [
    5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 50_400_000, 72_000_000,
    86_400_000,
];
/// The longest pause that a receiver may ask for (Retry-After).
pub const ALERT_RETRY_AFTER_MS_MAX: u64 = 86_400_000;
/// The longest pause between two attempts: the last one of the list and a tenth.
pub const ALERT_PAUSE_MS_MAX: u64 = ALERT_RETRY_MS[8] / 10 * 11;
/// Changes of an alert that are remembered until what was recorded before them is looked at; what is
/// older is judged by the oldest of them.
pub const ALERT_CHANGES_MAX: usize = 64;
/// How long a receiver of a message may take to answer.
pub const ALERT_SEND_MS_MAX: u64 = 15_000;
/// How much of a receiver's answer is kept.
pub const ALERT_ANSWER_BYTES_MAX: usize = 512;
/// Messages that are being sent at once.
pub const ALERT_SENDS_MAX: usize = 16;
/// Messages of one alert that are being sent at once.
pub const ALERT_SENDS_EACH_MAX: usize = 4;
/// How long messages that are being sent may take at shutdown; one that takes longer is sent again.
pub const ALERT_DRAIN_MS_MAX: u64 = 5_000;
/// Commands that wait for the reader of the log that raises alerts.
pub const ALERT_COMMANDS_MAX: usize = 64;
/// Events after which the place of that reader is kept in a file.
pub const ALERT_KEEP_EVENTS_MAX: u64 = 10_000;
/// Tasks that are watched for whether they end a row of failures.
pub const ALERT_WATCHED_MAX: usize = 100_000;
/// Events of a schedule that are read back to find its name.
pub const ALERT_NAME_EVENTS_MAX: usize = 256;
/// How long the secret before the current one is signed with, unless it is said otherwise.
pub const ALERT_SECRET_KEEP_MS_DEFAULT: u64 = 24 * 3_600_000;
/// The longest time that the secret before the current one may be signed with.
pub const ALERT_SECRET_KEEP_MS_MAX: u64 = 30 * 24 * 3_600_000;
/// How old or how far ahead the time of a signed message may be for its receiver.
pub const ALERT_TOLERANCE_S: u64 = 300;
/// Deliveries kept in the read models for each alert, the newest ones; the history has them all.
pub const ALERT_DELIVERIES_KEPT_MAX: usize = 200;
/// Attempts that are shown of a delivery, the newest ones.
pub const ALERT_ATTEMPTS_SHOWN_MAX: usize = 20;

/// Rows of one page.
pub const PAGE_MAX: usize = 100;
/// Rows of one page when the caller does not say.
pub const PAGE_DEFAULT: usize = 50;
/// Tasks that are counted one by one for the total of a list; where there are more, the list says so.
pub const TASKS_COUNTED_MAX: u64 = 10_000;
/// How much of the start of each text of a task (input, output, failure) can be found by its words.
pub const SEARCH_TEXT_BYTES_MAX: usize = 4 * 1024;
/// How much of the start of a word is searched.
pub const SEARCH_WORD_BYTES_MAX: usize = 40;
/// Words in one search.
pub const SEARCH_WORDS_MAX: usize = 16;
/// Texts that are made searchable in one transaction of the read models.
pub const SEARCH_PIECE_TEXTS_MAX: usize = 512;
/// How long the read models must have had nothing else to do before texts are made searchable.
pub const SEARCH_IDLE_MS: u64 = 20;
/// While there is always something else to do, how long until the next texts have their turn.
pub const SEARCH_TURN_MS_MAX: u64 = 500;
/// Newer tasks named by a task that was tried again by hand.
pub const RETRIES_SHOWN_MAX: usize = 100;
/// Tasks that one request may retry or cancel.
pub const BULK_TASKS_MAX: usize = 1_000;
/// Tasks of such a request that are under way at once.
pub const BULK_AT_ONCE_MAX: usize = 16;
/// How long a read waits for the position it asked for.
pub const READ_WAIT_MS_MAX: u64 = 10_000;
/// Connections that read the read models at once.
pub const READS_CONNECTIONS_MAX: usize = 4;
/// How long a read or a commit of the read models waits for a foreign lock on their file.
pub const READS_LOCK_WAIT_MS_MAX: u64 = 2_000;
/// Pages of the read models' write-ahead log before they are moved into the file.
pub const READS_WAL_PAGES_MAX: u32 = 4_096;
/// Events after which a transaction of the read models takes no further batch.
pub const PROJECTION_COMMIT_EVENTS_MAX: usize = 32_768;
/// Ids whose short numbers a projection remembers.
pub const PROJECTION_REFS_MAX: usize = 65_536;
/// Things named when a text fits more than one.
pub const FIND_CANDIDATES_MAX: usize = 10;
/// Near misses named when a text fits nothing.
pub const FIND_SUGGESTIONS_MAX: usize = 3;
/// Names searched for a near miss.
pub const FIND_NAMES_MAX: usize = 10_000;
/// The shortest start of an id that may stand for it, in hexadecimal digits.
pub const FIND_PREFIX_DIGITS_MIN: usize = 4;
/// Outcomes of due instants kept with a schedule's row, the newest ones.
pub const OUTCOMES_KEPT_MAX: usize = 10;
/// How long one API request may wait for a task to end; the CLI asks again.
pub const TASK_WAIT_MS_MAX: u64 = 60_000;

/// Listeners to events at once; a further one is refused.
pub const LISTENERS_MAX: usize = 2_048;
/// Listeners of them that may come with the same named key.
pub const LISTENERS_EACH_MAX: usize = 256;
/// Pieces that wait for a listener. One that is further behind reads the log by itself.
pub const LISTENER_PIECES_MAX: usize = 8;
/// Bytes of a piece after which it takes no further event.
pub const LISTENER_PIECE_BYTES_MAX: usize = 64 * 1024;
/// The shortest time between two pieces for the same listener. What happens in between is sent
/// together.
pub const LISTENER_PAUSE_MS: u64 = 50;
/// What each listener adds to that time, so that a crowd of them costs no more pieces than this
/// allows: 4,000 a second.
pub const LISTENER_PAUSE_EACH_US: u64 = 250;
/// How many times as long as the reading of a page took the next listener who is behind waits for
/// its turn.
pub const LISTENER_READ_REST: u32 = 3;
/// How long a listener hears nothing before it is told that the connection lives.
pub const LISTENER_HEARTBEAT_MS: u64 = 15_000;
/// Events that a listener who is behind reads at once.
pub const LISTENER_PAGE_EVENTS: usize = 256;
/// Listeners who are behind and read the log at the same time; the log's other readers have the
/// rest of its connections.
pub const LISTENER_READS_MAX: usize = 1;
/// Values of one filter of a listener.
pub const LISTENER_VALUES_MAX: usize = 32;

/// Spans that wait to be sent to a collector; a further one is lost.
pub const TRACE_SPANS_WAITING_MAX: usize = 8_192;
/// Spans that are sent together.
pub const TRACE_BATCH_SPANS_MAX: usize = 512;
/// How long a span waits for others at most.
pub const TRACE_DELAY_MS_MAX: u64 = 1_000;
/// How long a collector may take to take spans.
pub const TRACE_SEND_MS_MAX: u64 = 10_000;
/// How long the last spans may take at shutdown.
pub const TRACE_FLUSH_MS_MAX: u64 = 2_000;

/// How long the event log may take to close at shutdown.
pub const LOG_CLOSE_MS_MAX: u64 = 10_000;
/// How long a worker waits for an answer, beyond what it asked the server to wait itself.
pub const WORKER_ANSWER_MS_MAX: u64 = 5_000;
/// The first pause of a worker before it asks again a server that was away.
pub const WORKER_PAUSE_MS_MIN: u64 = 100;
/// The longest such pause.
pub const WORKER_PAUSE_MS_MAX: u64 = 3_000;
/// How long a worker that stops tries to tell the server, beyond the end of its runs.
pub const WORKER_LEAVE_MS_MAX: u64 = 5_000;
/// Bytes of the reports that a worker sends together; one that is larger travels by itself.
pub const WORKER_BATCH_BYTES_MAX: usize = 1024 * 1024;
/// The size at which the log of a worker in the background is set aside.
pub const WORKER_LOG_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// How often the log of a worker is looked at while it is followed.
pub const WORKER_LOG_LOOK_MS: u64 = 250;
/// How long a worker that is told to stop may take until the one who told it waits no more.
pub const WORKER_STOP_MS_MAX: u64 = 30_000;

/// How long a LangFlow that Spark runs itself may take until it answers.
pub const LANGFLOW_START_MS_MAX: u64 = 240_000;
/// How long a LangFlow left over by an earlier process may take to answer before it is ended.
pub const LANGFLOW_ADOPT_MS_MAX: u64 = 15_000;
/// How long a LangFlow that Spark runs itself may take to end before it is killed.
pub const LANGFLOW_STOP_MS_MAX: u64 = 10_000;
/// How long one question to a LangFlow that Spark runs itself may take.
pub const LANGFLOW_ANSWER_MS_MAX: u64 = 5_000;
/// The first pause before a LangFlow that ended is started again.
pub const LANGFLOW_BACKOFF_MS_MIN: u64 = 1_000;
/// The longest pause before a LangFlow that ended is started again.
pub const LANGFLOW_BACKOFF_MS_MAX: u64 = 60_000;
/// A LangFlow that was up this long begins again with the shortest pause.
pub const LANGFLOW_STEADY_MS: u64 = 60_000;
/// The size at which LangFlow's log is set aside at its next start.
pub const LANGFLOW_LOG_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// How much of the end of LangFlow's log is shown in an error.
pub const LANGFLOW_LOG_TAIL_BYTES_MAX: u64 = 4 * 1024;

// Relations that must hold between the bounds.
const _: () = assert!(PAYLOAD_INLINE_BYTES_MAX * 4 < EVENT_BYTES_MAX);
const _: () = assert!(PAYLOAD_CHUNK_BYTES_MAX * 4 / 3 < EVENT_BYTES_MAX);
const _: () = assert!(EVENT_BYTES_MAX < APPEND_BYTES_MAX);
const _: () = assert!(SUBSCRIPTION_BATCH_EVENTS_MAX < LOG_TAIL_EVENTS_MAX);
const _: () = assert!(TASK_INPUT_BYTES_MAX < REQUEST_BODY_BYTES_MAX as usize);
const _: () = assert!(FLOW_FILE_BYTES_MAX < REQUEST_BODY_BYTES_MAX as usize);
const _: () = assert!(DRIFT_EVERY_MS_MIN <= DRIFT_EVERY_MS_DEFAULT);
const _: () = assert!(RESPONSE_BYTES_MAX <= PAYLOAD_BYTES_MAX);
const _: () = assert!(GROUP_COMMIT_MAX <= LOG_QUEUE_MAX);
const _: () = assert!(JOB_POLL_MS_MIN < JOB_POLL_MS_MAX && JOB_POLL_MS_MAX < JOB_STOP_MS_MAX);
const _: () = assert!(SOURCE_CONNECT_MS_MAX < SOURCE_CALL_MS_MAX);
const _: () = assert!(WAKE_EVENTS_MAX + BACKFILL_BATCH_MAX + 8 <= APPEND_EVENTS_MAX);
const _: () =
    assert!(CATCH_UP_MS_MIN < CATCH_UP_MS_DEFAULT && CATCH_UP_MS_DEFAULT < CATCH_UP_MS_MAX);
const _: () = assert!(ATTEMPT_TIMEOUT_MS_DEFAULT < ATTEMPT_TIMEOUT_MS_MAX);
const _: () = assert!(ATTEMPT_TIMEOUT_MS_MAX <= TASK_TIMEOUT_MS_MAX);
const _: () = assert!(LOG_RETRY_MS_MIN < LOG_RETRY_MS_MAX);
const _: () = assert!(ALERT_RETRY_AFTER_MS_MAX <= ALERT_PAUSE_MS_MAX);
const _: () = assert!(WORKER_LOST_AFTER_MS_MIN <= WORKER_LOST_AFTER_MS_DEFAULT);
const _: () = assert!(WORKER_LOST_AFTER_MS_DEFAULT <= WORKER_LOST_AFTER_MS_MAX);
const _: () = assert!(WORKER_SLOTS_DEFAULT <= WORKER_SLOTS_MAX);
const _: () = assert!(4 * LISTENERS_EACH_MAX <= LISTENERS_MAX);
const _: () = assert!(LISTENERS_MAX < CONNECTIONS_MAX && LISTENER_READS_MAX < LOG_READERS_MAX);
const _: () = assert!(PAGE_DEFAULT <= PAGE_MAX);
const _: () = assert!(DRAIN_MS_MAX + WORKER_LEAVE_MS_MAX * 2 < WORKER_STOP_MS_MAX);
const _: () = assert!(WORKER_BATCH_BYTES_MAX < RESPONSE_BYTES_MAX);
const _: () = assert!(LANGFLOW_BACKOFF_MS_MIN < LANGFLOW_BACKOFF_MS_MAX);
const _: () = assert!(CLI_ANSWER_MS_MAX > COMMAND_TIMEOUT_MS + READ_WAIT_MS_MAX);
