use super::stage::*;
#[tokio::test]
async fn tlscheck() {
    for port in [18443, 18444] {
        let line = connect(&format!("https://localhost:{port}/mcp"), MODERN);
        eprintln!("{:?}", ask(&line.connection, call(&ECHO, None)).await);
        let line = connect(&format!("https://127.0.0.1:{port}/mcp"), MODERN);
        eprintln!("{:?}", ask(&line.connection, call(&ECHO, None)).await);
    }
}
