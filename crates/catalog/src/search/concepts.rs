//! Words that mean the same to people who look for a tool: "wipe" and "delete", "repo" and "repository".
//! A table of general office and software language. No product stands here: servers bring their own words.

use std::{collections::HashMap, sync::LazyLock};

use super::stem::stem;

/// Returns the terms that mean what `term` means.
pub(super) fn alike(term: &str) -> &'static [String] {
    static TABLE: LazyLock<HashMap<String, Vec<String>>> = LazyLock::new(table);
    TABLE.get(term).map_or(&[], Vec::as_slice)
}

/// Tells whether `term` says that something is to change.
pub(super) fn is_writing(term: &str) -> bool {
    static TERMS: LazyLock<Vec<String>> =
        LazyLock::new(|| WRITING.split_ascii_whitespace().map(stemmed).collect());
    TERMS.iter().any(|writing| writing == term)
}

/// Returns the terms of tools that only read.
pub(super) fn reading() -> &'static [String] {
    static TERMS: LazyLock<Vec<String>> =
        LazyLock::new(|| READING.split_ascii_whitespace().map(stemmed).collect());
    &TERMS
}

fn table() -> HashMap<String, Vec<String>> {
    let mut table: HashMap<String, Vec<String>> = HashMap::new();
    for group in GROUPS {
        let terms: Vec<String> = group.split_ascii_whitespace().map(stemmed).collect();
        for term in &terms {
            let alike = table.entry(term.clone()).or_default();
            for other in &terms {
                if other != term && !alike.contains(other) {
                    alike.push(other.clone());
                }
            }
        }
    }
    table
}

fn stemmed(word: &str) -> String {
    let mut word = word.to_owned();
    stem(&mut word);
    word
}

/// What tools that change nothing are called by.
const READING: &str = "list get read show search describe find query lookup view fetch check";

/// What people say who want something changed.
const WRITING: &str = "create make new add register provision generate build spin set establish launch insert start \
    delete remove drop erase wipe purge nuke destroy clear discard uninstall rid kill empty update edit change modify \
    rename adjust alter replace configure patch send post publish write push submit deliver run execute invoke trigger \
    call stop cancel terminate halt abort end shut disable restart reboot bounce reset move transfer relocate shift \
    copy duplicate clone fork replicate enable activate turn merge combine join upload import load ingest schedule \
    book plan assign attach link associate detach unlink disassociate unassign approve reject close invite install \
    deploy restore rotate reply forward pay refund buy";

/// Groups of words that may stand for each other. A word may be in several groups.
pub(super) const GROUPS: &[&str] = &[
    // What tools do.
    "create make new add register provision generate build set establish launch insert start spin compose draft",
    "delete remove drop erase wipe purge nuke destroy clear discard uninstall rid kill empty trash prune eliminate",
    "list show display enumerate view get fetch retrieve read see browse describe look return inspect check print",
    "update edit change modify set rename adjust alter replace configure patch tweak amend revise correct",
    "search find query lookup look locate discover seek hunt",
    "send post publish write push submit deliver share",
    "run execute invoke trigger call start launch fire kick",
    "stop cancel terminate halt abort kill end shut disable pause",
    "restart reboot bounce reset reload",
    "move transfer relocate shift rename migrate",
    "copy duplicate clone fork replicate mirror",
    "enable activate turn switch",
    "disable deactivate turn switch suspend off",
    "merge combine join unite concatenate",
    "upload import ingest load attach",
    "download export save fetch",
    "compare diff difference differences versus",
    "schedule book plan reserve calendar",
    "assign attach link associate connect bind",
    "detach unlink disassociate unassign disconnect",
    "convert transform translate turn export",
    "summarize summary digest overview recap tldr",
    "explain describe info information details about meaning",
    "validate verify check lint test ensure confirm",
    "analyze analyse analysis examine investigate inspect evaluate assess audit",
    "calculate compute count total sum number",
    "estimate forecast predict projection",
    "approve accept grant allow permit permission",
    "reject deny decline refuse block forbid ban prevent",
    "restore recover undelete rollback revert undo bring",
    "backup snapshot copy archive",
    "resize scale grow shrink size bigger larger smaller extend expand",
    "rotate regenerate renew roll refresh reissue",
    "install setup deploy add",
    "deploy release ship rollout publish",
    "monitor watch track observe follow",
    "subscribe follow watch subscription",
    "unsubscribe unfollow unwatch mute stop",
    "invite add member join",
    "close resolve finish complete done",
    "open create start launch",
    "sort order rank",
    "filter where match matching",
    "extract parse pull scrape read text",
    "capture screenshot record grab",
    "click press tap push",
    "type fill enter input write",
    "navigate open visit browse goto go",
    "ask query question answer prompt chat",
    "reply respond answer comment",
    "forward send pass redirect",
    "notify alert ping remind message notification",
    "sign login authenticate authorize signin log",
    "logout signout disconnect",
    "encrypt cipher protect",
    "decrypt decipher",
    "compress zip archive gzip shrink",
    "unzip extract decompress unpack",
    "promote failover primary elevate writable",
    "connect attach join link",
    "test probe ping connectivity reach reachable",
    "recommend suggest advise propose recommendation suggestion best",
    "pay charge bill purchase",
    "refund reimburse return chargeback",
    "buy purchase order",
    "draw render plot visualize paint",
    "play resume start",
    "remember memorize store save note memory",
    "forget delete remove erase",
    "think reason plan",
    // What they do it with: code.
    "repository repo",
    "pr pull request",
    "mr merge request",
    "commit change revision checkin",
    "branch trunk main",
    "issue ticket bug task problem",
    "review feedback approval approve reviewer",
    "reviewer review approver",
    "fork copy clone",
    "star bookmark favorite favourite",
    "tag label version release",
    "diff change patch comparison",
    "ci pipeline build workflow continuous integration",
    "pipeline workflow job",
    "job task run build",
    "artifact output file download asset",
    "dependency package library module vulnerable",
    "vulnerability vulnerable cve security flaw weakness hole",
    "lint style format quality",
    "coverage covered tested measure",
    "function method lambda procedure",
    "class type symbol",
    "code source snippet",
    "contributor collaborator member author",
    "collaborator access member",
    "milestone deadline sprint",
    "blame author annotate",
    "webhook hook callback",
    "changelog release notes history",
    // Data.
    "database db schema",
    "table relation",
    "column field attribute",
    "row record entry item",
    "query sql statement select",
    "schema structure definition columns",
    "index indexes search",
    "key value",
    "cache redis memory",
    "replica copy standby secondary read",
    "transaction commit",
    "bucket storage object store",
    "blob object file",
    "tier storage class cool hot archive",
    "dataset data table collection",
    "collection folder set list",
    "vector embedding semantic similarity",
    "graph node edge relationship network",
    "json document object",
    "csv spreadsheet sheet excel table",
    "spreadsheet sheet excel workbook",
    "metadata info properties attributes tags",
    // Machines.
    "virtual vm machine instance server box host",
    "server host machine instance",
    "instance machine server node",
    "container docker image pod",
    "kubernetes k8s cluster",
    "pod container workload",
    "deployment rollout release",
    "node host machine worker",
    "disk drive volume storage",
    "network vnet vpc subnet",
    "firewall rule security group port",
    "ip address",
    "dns domain record nameserver",
    "domain hostname dns",
    "url link address website uri",
    "load balancer traffic",
    "gateway proxy router",
    "route path routing",
    "region location zone datacenter",
    "queue backlog message",
    "topic channel stream",
    "event incident occurrence",
    "log logs output trace console",
    "metric metrics statistic stats measure usage utilization",
    "alarm alert alerts notification warning",
    "health status state alive up condition",
    "error exception failure failed crash fail broken",
    "performance speed slow latency throughput",
    "quota limit limits",
    "configuration config setting settings parameter option",
    "environment env variable",
    "template blueprint boilerplate scaffold",
    "version release revision",
    "infrastructure iac terraform stack",
    "cost price pricing bill billing spend spending expense expensive charge money",
    "saving savings discount commitment",
    "budget limit spend cost",
    "command cli shell terminal bash",
    "process program task pid",
    "endpoint api url",
    "api interface endpoint rest",
    "cloud hosted",
    "traffic request requests hits",
    // Security and people.
    "user account person people member employee staff",
    "group team department",
    "role permission access right privilege",
    "permission access right rights allowed policy",
    "policy rule rules guideline",
    "password credential secret passphrase pin",
    "secret vault credential password key",
    "key token apikey secret",
    "token key access credential",
    "certificate cert ssl tls https",
    "mfa 2fa factor authenticator second",
    "authentication auth login sso signin",
    "session login connection",
    "administrator admin root superuser",
    "organization org company tenant",
    "identity user profile me whoami",
    "me myself current whoami i",
    "device laptop phone computer machine",
    "attack threat malicious malware intrusion",
    "phishing fake lookalike scam spoof",
    "encryption tls ssl decryption inspection",
    "compliance audit regulation",
    "contact person people address",
    "customer client buyer",
    "candidate applicant",
    // Files and documents.
    "file files",
    "folder directory dir",
    "document doc docs file paper",
    "documentation docs manual guide reference handbook",
    "page wiki article",
    "image picture photo png jpg jpeg screenshot logo icon figure scan",
    "video movie clip film youtube mp4",
    "audio sound voice speech music song",
    "text content words",
    "content contents body text",
    "transcript subtitle caption transcription",
    "presentation slide deck powerpoint",
    "pdf document",
    "report summary analysis statement",
    "chart graph plot diagram visualization dashboard",
    "dashboard board panel",
    "template form",
    "note notes memo memory",
    "attachment file attached",
    "size big large space bytes",
    "path location folder",
    "history log past previous versions activity",
    // Office and everyday.
    "email mail mailbox inbox message",
    "message msg chat text dm",
    "channel room conversation chat",
    "thread conversation discussion replies",
    "comment note remark reply",
    "meeting event appointment calendar call invite",
    "calendar schedule agenda availability event",
    "availability free busy slot",
    "task todo reminder item checklist",
    "project board workspace",
    "board kanban project",
    "card task ticket item",
    "deadline due date",
    "lead prospect contact opportunity",
    "deal opportunity sale",
    "company business organization firm account",
    "invoice bill payment",
    "payment transaction charge payout",
    "subscription plan membership",
    "order purchase",
    "product item sku goods",
    "inventory stock quantity",
    "shipment shipping delivery package parcel tracking",
    "contract agreement",
    "job career position vacancy hiring opening",
    "vacation holiday leave absence pto",
    "employee staff worker colleague",
    "salary payroll wage compensation",
    "survey form questionnaire poll",
    "website site page web",
    "web internet online website",
    "browser page tab web chrome",
    "news article headline story press",
    "blog post article",
    "tweet post social",
    "weather forecast temperature rain",
    "map location place address geocode coordinates",
    "route directions drive distance navigation travel",
    "restaurant food place dining",
    "recipe dish meal cook food",
    "flight airline plane",
    "hotel accommodation stay room lodging",
    "trip travel journey itinerary",
    "stock share ticker equity price",
    "crypto coin bitcoin cryptocurrency token",
    "currency exchange rate money forex",
    "bank account balance",
    "balance funds money amount",
    "time date clock now timezone",
    "translation translate language localize",
    "language locale",
    "patient medical health clinical",
    "paper article publication research study literature",
    "research study investigate",
    "science paper academic",
    "book publication isbn",
    "game play match",
    "score result rating rank",
    "team club squad",
    "student course class lesson",
    "light lamp bulb",
    "knowledge base faq answers",
    "question ask answer",
    "example sample demo template",
    "best recommended practice guideline",
    "model ml ai machine learning",
    "training train finetune",
    "prompt instruction template",
    "agent assistant bot copilot",
];
