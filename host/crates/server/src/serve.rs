//! Serving until told to stop.

use std::future::Future;
use std::io;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How long open connections may take to end after the shutdown.
const GRACE: Duration = Duration::from_secs(5);

/// Serves until `shutdown` ends; then takes no new connections and gives the open ones five seconds. Live streams end
/// sooner if [`crate::Control::close`] (or `drain`) has been called.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (told, mut hears) = watch::channel(false);
    let signal = async move {
        shutdown.await;
        told.send_replace(true);
    };
    let server = axum::serve(listener, router).with_graceful_shutdown(signal);
    let deadline = async move {
        // The sender goes only with the server itself.
        let _ = hears.wait_for(|told| *told).await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = server => served,
        () = deadline => Ok(()),
    }
}
