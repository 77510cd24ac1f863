//! The container image without a container engine: its content is laid out as a folder, as the Dockerfile says, and
//! run with that folder as its root. What the Dockerfile and compose.yaml name must exist.
//!
//! `cargo xtask image` runs this with the static binary; otherwise the ordinary one is used, with its libraries. That an
//! engine builds the image is shown by no test.

use std::{fs, net::SocketAddr, path::Path};

use clap::{CommandFactory as _, Parser as _};
use serde::Deserialize;
use toolgate::cli::{Cli, Command, ServeOptions};

use self::{content::Content, dockerfile::Dockerfile};

#[path = "container/content.rs"]
mod content;
#[path = "container/dockerfile.rs"]
mod dockerfile;

/// Where the state of the image is; a volume.
const STATE: &str = "/var/lib/toolgate";
const PROGRAM: &str = "/usr/local/bin/toolgate";

fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn parse(arguments: &[String]) -> Cli {
    assert_eq!(arguments.first().map(String::as_str), Some(PROGRAM));
    Cli::try_parse_from(arguments).unwrap_or_else(|error| panic!("{error}"))
}

fn is_health(arguments: &[String]) -> bool {
    matches!(parse(arguments).command, Some(Command::Health(_)))
}

#[test]
fn the_dockerfile_names_options_that_exist() {
    let dockerfile = Dockerfile::read(workspace());
    let started = [dockerfile.list("ENTRYPOINT"), dockerfile.list("CMD")].concat();
    assert!(matches!(parse(&started).command, Some(Command::Serve(ServeOptions { .. }))), "{started:?}");
    let (_, check) = dockerfile.one("HEALTHCHECK").split_once(" CMD ").expect("a command");
    assert!(is_health(&serde_json::from_str::<Vec<String>>(check).expect("a list")));

    let variables = dockerfile.variables();
    let options = Cli::command();
    let serve = options.find_subcommand("serve").expect("serve");
    for (name, _) in variables.iter().filter(|(name, _)| name.starts_with("TOOLGATE_")) {
        let known =
            serve.get_arguments().any(|option| option.get_env().is_some_and(|env| env == name.as_str()));
        assert!(known, "{name}");
    }
    let listen: SocketAddr = variables["TOOLGATE_LISTEN"].parse().expect("an address");
    assert_eq!(dockerfile.one("EXPOSE"), listen.port().to_string());
    assert!(listen.ip().is_unspecified(), "a port of a container is reached from outside");
    assert_eq!(variables["TOOLGATE_STATE_DIR"], STATE);
    assert_eq!(dockerfile.list("VOLUME"), [STATE]);
    assert!(dockerfile.user().0 > 0, "root needs no number");
}

#[test]
fn what_is_built_is_not_left_out_of_the_context() {
    let read = |name: &str| fs::read_to_string(workspace().join(name)).expect("readable");
    let ignored = read(".dockerignore");
    let kept: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    for path in &kept {
        assert!(workspace().join(path).exists(), "{path}");
    }
    let manifest: toml_edit::DocumentMut = read("Cargo.toml").parse().expect("a manifest");
    let members = manifest["workspace"]["members"].as_array().expect("a list");
    for member in members.iter().map(|member| member.as_str().expect("text").trim_end_matches("/*")) {
        let is_kept = kept.iter().any(|kept| Path::new(member).starts_with(kept));
        assert!(is_kept, "{member}");
    }
    assert!(kept.contains(&"Cargo.lock") && kept.contains(&"Cargo.toml"));
}

#[test]
fn the_compose_file_agrees_with_the_image() {
    #[derive(Deserialize)]
    struct Compose {
        services: Services,
    }
    #[derive(Deserialize)]
    struct Services {
        toolgate: Service,
    }
    #[derive(Deserialize)]
    struct Service {
        build: String,
        command: Vec<String>,
        ports: Vec<String>,
        volumes: Vec<String>,
        user: String,
        read_only: bool,
        security_opt: Vec<String>,
        healthcheck: Check,
    }
    #[derive(Deserialize)]
    struct Check {
        test: Vec<String>,
    }
    let dockerfile = Dockerfile::read(workspace());
    let text = fs::read_to_string(workspace().join("compose.yaml")).expect("readable");
    let service = serde_saphyr::from_str::<Compose>(&text).expect("a compose file").services.toolgate;
    assert!(workspace().join(&service.build).join("Dockerfile").is_file());
    let started = [dockerfile.list("ENTRYPOINT"), service.command].concat();
    assert!(matches!(parse(&started).command, Some(Command::Serve(_))));
    assert_eq!(service.healthcheck.test[0], "CMD");
    assert!(is_health(&service.healthcheck.test[1..]));
    assert_eq!(service.ports, [format!("127.0.0.1:{0}:{0}", dockerfile.one("EXPOSE"))]);
    let targets: Vec<&str> = service.volumes.iter().filter_map(|volume| volume.split(':').nth(1)).collect();
    assert_eq!(targets, [dockerfile.one("WORKDIR"), STATE]);
    assert_eq!(service.user, dockerfile.one("USER"));
    assert!(service.read_only && service.security_opt == ["no-new-privileges:true"]);
}

#[test]
fn the_binary_is_static_when_it_is_the_images() {
    let image = content::image_binary();
    let binary = image.clone().unwrap_or_else(|| env!("CARGO_BIN_EXE_toolgate").into());
    let is_static = content::interpreter(&fs::read(&binary).expect("readable")).is_none();
    assert_eq!(is_static, image.is_some(), "{}", binary.display());
}

#[test]
fn the_content_serves_as_the_image_says() {
    let dockerfile = Dockerfile::read(workspace());
    let content = Content::lay_out(&dockerfile);

    let refused = content.run(&["serve"]);
    assert_eq!(refused.status.code(), Some(1), "on every address, without a token");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("no access token is configured"), "{said}");
    let created = content.run(&["token", "create", "--agent", "reviewer"]);
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    assert!(created.stdout.starts_with(b"tg_"));

    let mut serving = content.serve();
    let address = serving.address();
    let check = ["health", "--listen", &address];
    let healthy = content.run(&check);
    assert!(healthy.status.success(), "{}", String::from_utf8_lossy(&healthy.stderr));
    if let Some(user) = content.user() {
        assert_eq!(serving.user(), user);
    }
    assert_eq!(serving.terminate(), Some(0));
    assert_eq!(content.run(&check).status.code(), Some(1), "nobody answers any more");
    let shown = content.run(&["audit", "verify"]);
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
}
