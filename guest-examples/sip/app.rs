//! The application behind the codec `sip`.

use wireplug::App;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    wireplug_gallery::serve(App::new()).await
}
