//! Who started which task at which server. Task ids are handles and never a proof of identity (specification
//! 2025-11-25, tasks: security): a caller reaches the tasks that it started, and nobody else's.

use std::collections::{HashMap, VecDeque};

use catalog::View;
use domain::{PrincipalKey, ServerId};
use parking_lot::Mutex;

/// Tasks that are remembered; the oldest are forgotten first. A forgotten task goes on at its server.
const MAX_TASKS: usize = 10_000;
/// Longest task id, in bytes. A task with a longer one cannot be reached through the gateway.
const MAX_ID_BYTES: usize = 512;

/// The tasks that were started through this gateway.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    owners: HashMap<Task, PrincipalKey>,
    order: VecDeque<Task>,
}

/// A task: its id is the server's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Task {
    id: Box<str>,
    server: ServerId,
}

impl Tasks {
    /// Notes that `owner` started a task. The first owner of an id keeps it for as long as it is remembered.
    pub(crate) fn enter(&self, owner: PrincipalKey, server: &ServerId, id: &str) {
        if id.len() > MAX_ID_BYTES {
            return;
        }
        let task = Task { id: id.into(), server: server.clone() };
        let mut table = self.0.lock();
        if table.owners.contains_key(&task) {
            return;
        }
        while table.order.len() >= MAX_TASKS {
            let Some(oldest) = table.order.pop_front() else { break };
            table.owners.remove(&oldest);
        }
        table.order.push_back(task.clone());
        table.owners.insert(task, owner);
    }

    /// Returns the server that runs the caller's task. At a single server's endpoint, a task that nobody is known to
    /// have started is that server's business; on the merged one, an id that several servers gave means none of them.
    pub(crate) fn server<'a>(
        &self,
        caller: &PrincipalKey,
        view: &View,
        servers: impl IntoIterator<Item = &'a ServerId>,
        id: &str,
    ) -> Option<ServerId> {
        let table = self.0.lock();
        let owner_at = |server: &ServerId| table.owners.get(&Task { id: id.into(), server: server.clone() });
        match view {
            View::Server(server) => {
                owner_at(server).is_none_or(|owner| owner == caller).then(|| server.clone())
            }
            View::All => {
                let mut own = servers.into_iter().filter(|server| owner_at(server) == Some(caller));
                own.next().filter(|_| own.next().is_none()).cloned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::{AgentId, AgentSource, Principal, ServerScope};

    use super::*;

    fn principal(name: &str) -> PrincipalKey {
        let (agent, agent_source) = (AgentId::new(name).unwrap(), AgentSource::Launch);
        let (user, roles, token, servers) = (None, Vec::new(), None, ServerScope::All);
        Principal { agent, agent_source, user, roles, token, servers }.key()
    }

    #[test]
    fn a_task_is_its_owners() {
        let [a, b] = ["a", "b"].map(|name| ServerId::new(name).unwrap());
        let both = [a.clone(), b.clone()];
        let (own, other) = (principal("own"), principal("other"));
        let tasks = Tasks::default();
        tasks.enter(own.clone(), &a, "1");
        tasks.enter(other.clone(), &a, "1");
        assert_eq!(tasks.server(&own, &View::All, &both, "1"), Some(a.clone()));
        assert_eq!(tasks.server(&other, &View::All, &both, "1"), None);
        assert_eq!(tasks.server(&other, &View::Server(a.clone()), &both, "1"), None);
        assert_eq!(tasks.server(&other, &View::Server(b.clone()), &both, "1"), Some(b.clone()));
        tasks.enter(own.clone(), &b, "1");
        assert_eq!(tasks.server(&own, &View::All, &both, "1"), None, "two servers gave the same id");
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let (server, own) = (ServerId::new("a").unwrap(), principal("own"));
        let tasks = Tasks::default();
        for number in 0..=MAX_TASKS {
            tasks.enter(own.clone(), &server, &number.to_string());
        }
        let servers = [server.clone()];
        assert_eq!(tasks.server(&own, &View::All, &servers, "0"), None);
        assert_eq!(tasks.server(&own, &View::All, &servers, "1"), Some(server));
        assert_eq!(tasks.0.lock().owners.len(), MAX_TASKS);
    }
}
