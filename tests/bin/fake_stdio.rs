//! The fake stdio server as a program. What it does is in `testkit::stdio`.

use std::process::ExitCode;

fn main() -> ExitCode {
    testkit::stdio::serve(std::env::args().skip(1))
}
