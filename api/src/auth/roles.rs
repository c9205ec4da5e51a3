//! The one table of what each endpoint needs: a pure function over the route. It lists every
//! endpoint, so that none can be forgotten: the compiler asks for each.

use spark_events::domain::api_key::Role;

use crate::routes::Route;
use crate::routes::alerts::AlertRoute as A;
use crate::routes::flows::FlowRoute as F;
use crate::routes::history::Kind;
use crate::routes::keys::KeyRoute as K;
use crate::routes::log::LogRoute as L;
use crate::routes::projections::ProjectionRoute as P;
use crate::routes::schedules::ScheduleRoute as S;
use crate::routes::service::ServiceRoute as V;
use crate::routes::sources::SourceRoute as O;
use crate::routes::tasks::TaskRoute as T;
use crate::routes::workers::WorkerRoute as W;

/// What a request must come with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing: it answers without a key.
    Nobody,
    /// A key of any role.
    AnyKey,
    /// A key whose role covers this one.
    Role(Role),
}

const VIEWER: Need = Need::Role(Role::Viewer);
/// That of a worker, which is handed the keys of the sources that it calls.
const WORKER: Need = Need::Role(Role::Worker);
const OPERATOR: Need = Need::Role(Role::Operator);
/// What a caller needs to whom nothing is hidden.
pub const ADMIN: Need = Need::Role(Role::Admin);

/// What an endpoint needs.
#[must_use]
pub fn need(route: &Route<'_>) -> Need {
    match route {
        Route::Service(route) => match route {
            V::Live | V::Ready | V::Health | V::OpenApi | V::Docs(_) | V::Redoc => Need::Nobody,
            V::WhoAmI => Need::AnyKey,
            // Whoever runs the server may let everybody read them.
            V::Metrics => VIEWER,
            V::Root => VIEWER,
        },
        Route::Sources(route) => match route {
            O::List | O::Get(_) | O::Flows(_) => VIEWER,
            // A request of a source is a flow; a probe changes nothing but what is known.
            O::Probe(_) | O::AddRequest(_) => OPERATOR,
            O::Add | O::Update(_) | O::Remove(_) | O::Reseal => ADMIN,
        },
        Route::Flows(route) => match route {
            F::List
            | F::Get(_)
            | F::Components(_)
            | F::Versions(_)
            | F::Version(_, _)
            | F::Diff(_) => VIEWER,
            F::Create
            | F::Sync
            | F::Update(_)
            | F::Delete(_)
            | F::Run(_)
            | F::Push(_)
            | F::Check(_) => OPERATOR,
        },
        Route::Schedules(route) => match route {
            S::List | S::Preview | S::Get(_) | S::Next(_) | S::Why(_) => VIEWER,
            S::Create
            | S::Pause(_)
            | S::Resume(_)
            | S::Patch(_)
            | S::Trigger(_)
            | S::Backfill(_)
            | S::CancelBackfill(_, _)
            | S::Delete(_) => OPERATOR,
        },
        Route::Tasks(route) => match route {
            T::List | T::Get(_) | T::Wait(_) | T::Log(_) => VIEWER,
            T::Create | T::Bulk | T::Cancel(_) | T::Retry(_) | T::Release(_) | T::Delete(_) => {
                OPERATOR
            }
        },
        Route::History(route) => match route.kind {
            Kind::Task
            | Kind::Schedule
            | Kind::Flow
            | Kind::Source
            | Kind::Worker
            | Kind::Alert => VIEWER,
            Kind::Key => ADMIN,
        },
        // Here and in the next, events of API keys are left out for whoever may not list them.
        Route::Events(_) => VIEWER,
        Route::Projections(route) => match route {
            P::List => VIEWER,
            P::Rebuild(_) | P::Retry(_) | P::Skip(_) => ADMIN,
        },
        Route::Log(route) => match route {
            L::List | L::Head | L::Get(_) => VIEWER,
        },
        Route::Workers(route) => match route {
            W::List | W::Get(_) => VIEWER,
            W::Pause(_) | W::Resume(_) | W::Drain(_) | W::Stop(_) => OPERATOR,
            W::Register | W::Poll(_) | W::Reports(_) | W::Leave(_) => WORKER,
        },
        Route::Keys(route) => match route {
            K::List | K::Create | K::Get(_) | K::Revoke(_) => ADMIN,
        },
        // Whoever makes an alert lets the server send requests to any address it can reach.
        Route::Alerts(route) => match route {
            A::List | A::Get(_) | A::Deliveries(_) => VIEWER,
            A::Create
            | A::Update(_)
            | A::Delete(_)
            | A::Test(_)
            | A::Rotate(_)
            | A::Retry(_, _) => ADMIN,
        },
    }
}

#[cfg(test)]
pub(crate) mod tests;
