//! Temporary measurement.
use bytes::Bytes;
use catalog::*;
use domain::*;
use guardrails::*;
use policy::*;
use protocol::*;
use std::{
    collections::BTreeMap,
    io::{BufRead, Write},
    time::Instant,
};
use upstream::{child::Launcher, config::ServerConfig, *};

fn stub() {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let Some(at) = line.find("\"id\":") else { continue };
        let id: String = line[at + 5..].chars().take_while(|c| c.is_ascii_digit()).collect();
        let body = if line.contains("\"initialize\"") {
            r#""result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}"#.to_owned()
        } else if line.contains("tools/list") {
            r#""result":{"tools":[{"name":"echo","inputSchema":{"type":"object"}}]}"#.to_owned()
        } else if line.contains("tools/call") {
            r#""result":{"content":[{"type":"text","text":"hello hello hello hello"}]}"#.to_owned()
        } else {
            r#""error":{"code":-32601,"message":"no"}"#.to_owned()
        };
        out.write_all(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},{body}}}\n").as_bytes()).unwrap();
        out.flush().unwrap();
    }
}
fn cpu() -> u64 {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .map(|t| {
            let s = std::fs::read_to_string(t.unwrap().path().join("schedstat")).unwrap_or_default();
            s.split(' ').next().unwrap_or("0").parse::<u64>().unwrap_or(0)
        })
        .sum()
}
fn open<T>(v: Untrusted<T>) -> T {
    let subject = Subject { server: ServerId::new("any").unwrap(), target: Target::Server };
    Guardrails::none().screen_result(&subject, v).unwrap().into_inner()
}
fn main() {
    if upstream::child::child_main(std::env::args_os()).is_some() {
        return;
    }
    if std::env::args().nth(1).as_deref() == Some("stub") {
        return stub();
    }
    let threads: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    let lanes: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let calls: usize = std::env::args().nth(3).unwrap().parse().unwrap();
    let runtime = if threads == 0 {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    } else {
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap()
    };
    let handle = runtime.handle().clone();
    runtime.block_on(async move {
        let launcher = Launcher::start(handle).unwrap();
        let (ups, mut events) =
            Upstreams::new(Settings::new(launcher, SelfInfo { name: "t".into(), version: "0".into() }));
        let id = ServerId::new("s").unwrap();
        let exe = std::env::current_exe().unwrap();
        let config: ServerConfig =
            serde_json::from_value(serde_json::json!({"command": exe.to_str().unwrap(), "args": ["stub"]}))
                .unwrap();
        ups.apply(BTreeMap::from([(id.clone(), config.build(id.clone()).unwrap())]));
        loop {
            if matches!(events.recv().await.unwrap(), UpstreamEvent::Listed { .. }) {
                break;
            }
        }
        tokio::spawn(async move { while events.recv().await.is_some() {} });
        let subject = Subject { server: id.clone(), target: Target::Server };
        let cleared = |l| Guardrails::none().screen_arguments(&subject, l).unwrap();
        let mut listing = Listing::empty(Version::V2025_11_25, Bytes::from_static(b"{\"tools\":{}}"));
        listing.tools.push(Bytes::from_static(b"{\"name\":\"echo\",\"inputSchema\":{\"type\":\"object\"}}"));
        let listing = cleared(listing);
        let cat = Catalog::build(Naming::default(), [(&id, &listing)]);
        let route = cat.route(&View::Server(id.clone()), Routing::Tool, "echo", &ServerScope::All).unwrap();
        let principal = Principal {
            agent: AgentId::new("a").unwrap(),
            agent_source: AgentSource::Launch,
            user: None,
            roles: vec![],
            token: None,
            servers: ServerScope::All,
        };
        let row = method("tools/call").unwrap();
        let (t0, c0) = (Instant::now(), cpu());
        let mut set = tokio::task::JoinSet::new();
        for _ in 0..lanes {
            let (ups, route, principal, id) = (ups.clone(), route.clone(), principal.clone(), id.clone());
            set.spawn(async move {
                let credential = Credential::new(id.clone(), []);
                let subject = Subject { server: id, target: Target::Server };
                let raw = Bytes::from_static(
                    b"{\"name\":\"echo\",\"arguments\":{\"text\":\"hello hello hello hello\"}}",
                );
                for _ in 0..calls / lanes {
                    let permit = Policy::grants_only().authorize(&principal, route.clone()).unwrap();
                    let params = Params::parse(Some(raw.clone()), row).unwrap();
                    let out = Outgoing {
                        method: row,
                        params,
                        caller: Caller { version: Version::V2025_11_25, client_info: None, log_level: None },
                    };
                    let request = Guardrails::none().screen_arguments(&subject, out).unwrap();
                    let mut reply = ups.call(&permit, request, &credential).await.unwrap();
                    match open(reply.next().await.unwrap()) {
                        Event::Result(_) => {}
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
        set.join_all().await;
        let (t, c) = (t0.elapsed(), cpu() - c0);
        println!(
            "threads {threads} lanes {lanes}: {:.1} us wall/call, {:.2} us cpu/call",
            t.as_secs_f64() * 1e6 / calls as f64,
            c as f64 / 1e3 / calls as f64
        );
        ups.shutdown().await;
    });
}
