//! Work that is carried to its end although whoever asked for it is gone.

use std::panic::resume_unwind;

/// Runs something to its end also where its caller is dropped meanwhile, as the answer to a request
/// is when the client hangs up. For what has to be whole: an event that is durable, and what this
/// process keeps in memory of it.
///
/// # Panics
/// Where the work panics, or the runtime ends in the middle of it.
pub(crate) async fn carried<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    #[expect(
        clippy::disallowed_methods,
        reason = "it is bounded by the log's answer, and nobody may end it sooner"
    )]
    let running = tokio::spawn(work);
    match running.await {
        Ok(done) => done,
        Err(error) => resume_unwind(Box::new(error)),
    }
}
