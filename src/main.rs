//! ifmatch
use std::path::PathBuf;
fn main() {
    let filter = tracing_subscriber::EnvFilter::new("info,pingora_core=warn");
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let file = PathBuf::from(std::env::args().next_back().unwrap_or_default());
    match ifmatch::config::load(&file) {
        Ok(config) => match ifmatch::server::Bound::new(config, Some(file)) {
            Ok(bound) => {
                let public: Vec<String> = bound.public().iter().map(ToString::to_string).collect();
                let admin = bound.admin().map(|a| a.to_string()).unwrap_or_default();
                tracing::info!(public = public.join(","), admin, "listening");
                bound.run(ifmatch::server::life::StopOn::Signals)
            }
            Err(e) => eprintln!("{e}"),
        },
        Err(p) => {
            eprintln!("{p}");
            std::process::exit(78)
        }
    }
}
