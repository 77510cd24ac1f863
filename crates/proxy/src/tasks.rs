//! Who started which task at which server. Task ids are handles and never a proof of identity (specification
//! 2025-11-25, tasks: security): a caller reaches the tasks that it started, and nobody else's.

use std::collections::{HashMap, VecDeque};

use catalog::View;
use domain::{Principal, PrincipalKey, ServerId};
use parking_lot::Mutex;

/// Tasks of one principal that are remembered; its oldest are forgotten first. A forgotten task goes on at its server.
const MAX_TASKS_OF_ONE: usize = 1_000;
/// Tasks of all principals that are remembered; those of whoever has the most are forgotten first.
const MAX_TASKS: usize = 10_000;
/// Longest task id, in bytes. A task with a longer one cannot be reached through the gateway.
const MAX_ID_BYTES: usize = 512;

/// Whether a caller is the only one there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Company {
    /// It is: nobody has a token.
    Alone,
    /// There are others, or may be.
    Others,
}

/// The tasks that were started through this gateway.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    owners: HashMap<Task, PrincipalKey>,
    /// Each owner's tasks, the oldest first; those that have another owner by now are passed over.
    order: HashMap<PrincipalKey, VecDeque<Task>>,
    entered: usize,
}

/// A task: its id is the server's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Task {
    id: Box<str>,
    server: ServerId,
}

impl Tasks {
    /// Notes that `owner` started a task. A server that gives an id again has forgotten the task that had it: the newest
    /// owner has it then, and nobody reaches another's.
    pub(crate) fn enter(&self, owner: PrincipalKey, server: &ServerId, id: &str) {
        if id.len() <= MAX_ID_BYTES {
            self.0.lock().enter(owner, Task { id: id.into(), server: server.clone() });
        }
    }

    /// Tells whether the caller is known to have started a task.
    pub(crate) fn is_own(&self, caller: &PrincipalKey, server: &ServerId, id: &str) -> bool {
        let task = Task { id: id.into(), server: server.clone() };
        self.0.lock().owners.get(&task) == Some(caller)
    }

    /// Returns the server that runs the caller's task. At a single server's endpoint, a task that nobody is known to
    /// have started is that server's business for a caller who is the only one there is; on the merged one, an id that
    /// several servers gave means none of them.
    pub(crate) fn server<'a>(
        &self,
        (caller, company): (&Principal, Company),
        view: &View,
        servers: impl IntoIterator<Item = &'a ServerId>,
        id: &str,
    ) -> Option<ServerId> {
        let key = caller.key();
        let table = self.0.lock();
        let owner_at = |server: &ServerId| table.owners.get(&Task { id: id.into(), server: server.clone() });
        match view {
            View::Server(server) => {
                let reaches = owner_at(server).map_or(company == Company::Alone, |owner| *owner == key);
                reaches.then(|| server.clone())
            }
            View::All => {
                let mut own = servers.into_iter().filter(|server| owner_at(server) == Some(&key));
                own.next().filter(|_| own.next().is_none()).cloned()
            }
        }
    }
}

impl Table {
    fn enter(&mut self, owner: PrincipalKey, task: Task) {
        if self.owners.get(&task) == Some(&owner) {
            return;
        }
        let own = self.order.entry(owner.clone()).or_default();
        let is_full = own.len() >= MAX_TASKS_OF_ONE;
        own.push_back(task.clone());
        self.entered += 1;
        self.owners.insert(task, owner.clone());
        if is_full {
            self.forget_oldest_of(&owner);
        }
        while self.entered > MAX_TASKS {
            let most = self.order.iter().max_by_key(|(_, own)| own.len()).map(|(owner, _)| owner.clone());
            let Some(most) = most else { return };
            self.forget_oldest_of(&most);
        }
    }

    fn forget_oldest_of(&mut self, owner: &PrincipalKey) {
        let Some(own) = self.order.get_mut(owner) else { return };
        if let Some(oldest) = own.pop_front() {
            self.entered -= 1;
            // It may have another owner by now, or the same one again.
            if self.owners.get(&oldest) == Some(owner) && !own.contains(&oldest) {
                self.owners.remove(&oldest);
            }
        }
        if own.is_empty() {
            self.order.remove(owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::{AgentId, AgentSource, ServerScope, TokenId};

    use super::*;

    fn principal(name: &str, token: Option<&str>) -> Principal {
        let (agent, agent_source) = (AgentId::new(name).unwrap(), AgentSource::Token);
        let (user, roles, servers) = (None, Vec::new(), ServerScope::All);
        let token = token.map(|token| TokenId::new(token).unwrap());
        Principal { agent, agent_source, user, roles, token, servers }
    }

    #[test]
    fn a_task_is_its_owners() {
        let [a, b] = ["a", "b"].map(|name| ServerId::new(name).unwrap());
        let both = [a.clone(), b.clone()];
        let [own, other] = ["own", "other"].map(|name| principal(name, Some(name)));
        let tasks = Tasks::default();
        tasks.enter(own.key(), &a, "1");
        assert_eq!(tasks.server((&own, Company::Others), &View::All, &both, "1"), Some(a.clone()));
        assert_eq!(tasks.server((&other, Company::Others), &View::All, &both, "1"), None);
        assert_eq!(tasks.server((&other, Company::Others), &View::Server(a.clone()), &both, "1"), None);
        assert_eq!([&own, &other].map(|caller| tasks.is_own(&caller.key(), &a, "1")), [true, false]);
        tasks.enter(own.key(), &b, "1");
        assert_eq!(
            tasks.server((&own, Company::Others), &View::All, &both, "1"),
            None,
            "two servers gave the same id"
        );
        tasks.enter(other.key(), &a, "1");
        assert_eq!(
            tasks.server((&other, Company::Others), &View::Server(a.clone()), &both, "1"),
            Some(a.clone())
        );
        assert_eq!(
            tasks.server((&own, Company::Others), &View::Server(a), &both, "1"),
            None,
            "the id was given again"
        );
    }

    #[test]
    fn a_task_of_nobody_is_the_only_callers() {
        let a = ServerId::new("a").unwrap();
        let view = View::Server(a.clone());
        let (tasks, launcher) = (Tasks::default(), principal("launcher", None));
        assert_eq!(tasks.server((&launcher, Company::Alone), &view, [&a], "1"), Some(a.clone()));
        assert_eq!(tasks.server((&launcher, Company::Others), &view, [&a], "1"), None);
        let one = principal("one", Some("one"));
        assert_eq!(tasks.server((&one, Company::Others), &view, [&a], "1"), None);
    }

    #[test]
    fn whoever_starts_many_forgets_its_own() {
        let server = ServerId::new("a").unwrap();
        let [own, other] = ["own", "other"].map(|name| principal(name, Some(name)));
        let tasks = Tasks::default();
        tasks.enter(other.key(), &server, "other");
        for number in 0..=MAX_TASKS_OF_ONE {
            tasks.enter(own.key(), &server, &number.to_string());
        }
        assert!(!tasks.is_own(&own.key(), &server, "0") && tasks.is_own(&own.key(), &server, "1"));
        assert!(tasks.is_own(&other.key(), &server, "other"));
        for name in 0..20 {
            let owner = principal(&format!("p{name}"), Some("t")).key();
            for number in 0..MAX_TASKS_OF_ONE {
                tasks.enter(owner.clone(), &server, &format!("{name}/{number}"));
            }
        }
        let table = tasks.0.lock();
        assert_eq!((table.owners.len(), table.entered), (MAX_TASKS, MAX_TASKS));
        drop(table);
        assert!(tasks.is_own(&other.key(), &server, "other"), "others' floods cost nobody his own");
    }
}
