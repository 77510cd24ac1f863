//! The counters in the form that agent-mcp-gateway's users know: per operation, and per agent and operation.

use serde_json::{Map, Value, json};

use super::{
    Operation,
    agents::{Agents, Reading},
};

/// Reads everything that was recorded.
pub(super) fn report(agents: &Agents) -> Value {
    let readings = agents.readings();
    let mut totals: Vec<(Operation, Reading)> = Vec::new();
    for (operation, reading) in readings.iter().flat_map(|reading| &reading.operations) {
        match totals.iter_mut().find(|(known, _)| known == operation) {
            Some((_, total)) => total.add(reading),
            None => totals.push((*operation, reading.clone())),
        }
    }
    totals.sort_by_key(|(operation, _)| operation.index());
    let agents: Map<String, Value> = readings
        .iter()
        .map(|reading| (reading.agent.to_string(), figures_of_all(&reading.operations)))
        .collect();
    json!({"operations": figures_of_all(&totals), "agents": agents})
}

fn figures_of_all(operations: &[(Operation, Reading)]) -> Value {
    let figures =
        operations.iter().map(|(operation, reading)| (operation.as_str().to_owned(), figures(reading)));
    Value::Object(figures.collect())
}

fn figures(Reading { spread, errors }: &Reading) -> Value {
    // Calls go on while the counters are read, so an error may be seen before its call.
    let error_rate = (*errors as f64 / spread.count().max(1) as f64).min(1.0);
    json!({
        "count": spread.count(),
        "avg_latency_ms": rounded(spread.mean_ms(), 2),
        "p50_latency_ms": rounded(spread.percentile_ms(50.0), 2),
        "p95_latency_ms": rounded(spread.percentile_ms(95.0), 2),
        "p99_latency_ms": rounded(spread.percentile_ms(99.0), 2),
        "error_rate": rounded(error_rate, 4),
    })
}

fn rounded(number: f64, decimals: i32) -> f64 {
    let factor = 10_f64.powi(decimals);
    (number * factor).round() / factor
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::*;
    use crate::operations::{Ending, Operations};

    #[test]
    fn the_form_is_agent_mcp_gateways() {
        let operations = Operations::default();
        assert_eq!(operations.to_json(), json!({"operations": {}, "agents": {}}));
        let took = Duration::from_micros(10_000);
        operations.record("b", Operation::ExecuteTool, took, Ending::Answered);
        operations.record("a", Operation::ExecuteTool, took, Ending::Failed);
        operations.record("a", Operation::ExecuteTool, took, Ending::Answered);
        operations.record("a", Operation::ListServers, Duration::ZERO, Ending::Answered);
        let figures = |count: u64, error_rate: f64| {
            json!({"count": count, "avg_latency_ms": 10.0, "p50_latency_ms": 9.98, "p95_latency_ms": 9.98,
                "p99_latency_ms": 9.98, "error_rate": error_rate})
        };
        let instant = json!({"count": 1, "avg_latency_ms": 0.0, "p50_latency_ms": 0.0, "p95_latency_ms": 0.0,
            "p99_latency_ms": 0.0, "error_rate": 0.0});
        let expected = json!({
            "operations": {"list_servers": instant, "execute_tool": figures(3, 0.3333)},
            "agents": {
                "a": {"list_servers": instant, "execute_tool": figures(2, 0.5)},
                "b": {"execute_tool": figures(1, 0.0)},
            },
        });
        assert_eq!(operations.to_json().to_string(), expected.to_string());
    }

    #[test]
    fn nothing_is_lost_when_many_record_at_once() {
        let operations = Operations::default();
        thread::scope(|scope| {
            for thread in 0..8_u64 {
                let operations = operations.clone();
                scope.spawn(move || {
                    for number in 0..1_000 {
                        let agent = ["a", "b", "c"][(number % 3) as usize];
                        let took = Duration::from_micros(thread * 1_000 + number);
                        operations.record(agent, Operation::CallTool, took, Ending::Failed);
                    }
                });
            }
        });
        let total = &operations.to_json()["operations"]["tools/call"];
        assert_eq!((&total["count"], &total["error_rate"]), (&json!(8_000), &json!(1.0)));
    }
}
