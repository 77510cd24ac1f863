//! What a caller may see of the catalog: the same rungs as for a call, asked without writing any text.

use catalog::{Seen, Sight};
use domain::{ServerId, ServerScope, ToolName};

use crate::rules::Standing;

/// What one caller may see under a policy. Made by [`crate::Policy::sight`].
#[derive(Debug, Clone, Copy)]
pub struct PolicySight<'a> {
    standing: Standing<'a>,
    scope: &'a ServerScope,
}

impl<'a> PolicySight<'a> {
    pub(crate) const fn new(standing: Standing<'a>, scope: &'a ServerScope) -> Self {
        Self { standing, scope }
    }
}

impl Sight for PolicySight<'_> {
    fn of_server(&self, server: &ServerId) -> Seen {
        if self.scope.reaches(server) { self.standing.seen(server.as_str()) } else { Seen::Nothing }
    }

    fn sees_tool(&self, server: &ServerId, tool: &ToolName) -> bool {
        self.scope.reaches(server) && self.standing.judge(server.as_str(), Some(tool.as_str())).step.allows()
    }
}
