//! The application behind the codec `jt808`.

use wireplug::App;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    wireplug_gallery::serve(App::new()).await
}
