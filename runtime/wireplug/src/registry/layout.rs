//! The Wasm layout of artifacts, of the CNCF's technical advisory group for runtimes: a
//! configuration that says what the component is, and the component as the only layer.

use bytes::Bytes;
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest, OciManifest};
use serde_json::json;

use super::{RegistryError, too_large};
use crate::codec::{Digest, Reason};
use crate::slot::MAX_COMPONENT;

/// The type of the configuration.
const CONFIG: &str = "application/vnd.wasm.config.v0+json";

/// The type of the layer.
const LAYER: &str = "application/wasm";

/// The names that a component imports and exports. The configuration of the artifact lists them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// What the component imports.
    pub imports: Vec<String>,
    /// What the component exports.
    pub exports: Vec<String>,
}

/// The component of an artifact.
pub(super) struct Layer {
    pub(super) digest: Digest,
    /// In bytes, at most [`MAX_COMPONENT`].
    pub(super) size: u64,
}

/// Returns the component of a manifest.
pub(super) fn layer(manifest: &[u8]) -> Result<Layer, RegistryError> {
    let refused = |what: String| Err(RegistryError::Artifact(what));
    let manifest = match serde_json::from_slice(manifest) {
        Ok(OciManifest::Image(manifest)) => manifest,
        Ok(OciManifest::ImageIndex(_)) => {
            return refused("it is an index of several artifacts: name one of them by its digest".to_owned());
        }
        Err(error) => return refused(format!("its manifest cannot be read: {error}")),
    };
    let [layer] = &manifest.layers[..] else {
        let count = manifest.layers.len();
        return refused(format!(
            "it has {count} layers, and a component is one: `wireplug codec push` makes it"
        ));
    };
    if layer.media_type != LAYER {
        let is = Reason::new(&layer.media_type);
        return refused(format!(
            "its layer is {is}, and a component is {LAYER}: `wireplug codec push` makes it"
        ));
    }
    let Some(Ok(digest)) = layer.digest.strip_prefix("sha256:").map(str::parse::<Digest>) else {
        return refused(format!("the digest of its layer is no SHA-256: {}", Reason::new(&layer.digest)));
    };
    match u64::try_from(layer.size) {
        Ok(size) if size > MAX_COMPONENT => Err(too_large(size)),
        Ok(size) => Ok(Layer { digest, size }),
        Err(_) => refused("the size of its layer is negative".to_owned()),
    }
}

/// The parts of an artifact that is pushed.
pub(super) struct Artifact {
    /// The digest of the component.
    pub(super) component: String,
    pub(super) config: Bytes,
    pub(super) config_digest: String,
    pub(super) manifest: Bytes,
}

impl Artifact {
    /// Makes the artifact of a component. The same component always makes the same artifact, so the
    /// configuration does not say when it was made.
    pub(super) fn of(component: &[u8], interfaces: &Interfaces) -> Self {
        let digest = |bytes: &[u8]| format!("sha256:{}", Digest::of(bytes));
        let layer = digest(component);
        let config = json!({
            "architecture": "wasm",
            "os": "wasip2",
            "layerDigests": [layer],
            "component": { "imports": interfaces.imports, "exports": interfaces.exports },
        });
        let config = config.to_string();
        let descriptor = |media_type: &str, digest: &str, size: usize| OciDescriptor {
            media_type: media_type.to_owned(),
            digest: digest.to_owned(),
            size: size as i64,
            ..OciDescriptor::default()
        };
        let config_digest = digest(config.as_bytes());
        let manifest = OciImageManifest {
            media_type: Some(OCI_IMAGE_MEDIA_TYPE.to_owned()),
            config: descriptor(CONFIG, &config_digest, config.len()),
            layers: vec![descriptor(LAYER, &layer, component.len())],
            ..OciImageManifest::default()
        };
        let manifest = serde_json::to_vec(&manifest).expect("a manifest is JSON");
        Self { component: layer, config: config.into(), config_digest, manifest: manifest.into() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn manifest(change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let artifact = Artifact::of(b"component", &Interfaces::default());
        let mut manifest: Value = serde_json::from_slice(&artifact.manifest).expect("it is JSON");
        change(&mut manifest);
        manifest.to_string().into_bytes()
    }

    #[test]
    fn what_is_pushed_can_be_pulled() {
        let exports = vec!["wireplug:codec/codec@0.2.0".to_owned()];
        let interfaces = Interfaces { imports: Vec::new(), exports };
        let artifact = Artifact::of(b"component", &interfaces);
        let layer = layer(&artifact.manifest).expect("it is an artifact");
        assert_eq!((layer.digest, layer.size), (Digest::of(b"component"), 9));
        assert_eq!(artifact.manifest, Artifact::of(b"component", &interfaces).manifest);
        let config: Value = serde_json::from_slice(&artifact.config).expect("it is JSON");
        assert_eq!(config["layerDigests"], json!([artifact.component]));
        assert_eq!(config["component"]["exports"], json!(interfaces.exports));
        let manifest: Value = serde_json::from_slice(&artifact.manifest).expect("it is JSON");
        assert_eq!(manifest["config"]["mediaType"], CONFIG);
        assert_eq!(manifest["config"]["digest"], artifact.config_digest);
    }

    #[test]
    fn manifests_of_something_else_are_refused() {
        type Break = fn(&mut Value);
        let breaks: [(&str, Break); 7] = [
            ("0 layers", |manifest| manifest["layers"] = json!([])),
            ("2 layers", |manifest| {
                let layer = manifest["layers"][0].clone();
                manifest["layers"] = json!([layer, layer]);
            }),
            ("its layer is application/vnd.oci.image.layer.v1.tar+gzip", |manifest| {
                manifest["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+gzip");
            }),
            ("no SHA-256: sha512:00", |manifest| manifest["layers"][0]["digest"] = json!("sha512:00")),
            ("and the most is 268435456", |manifest| manifest["layers"][0]["size"] = json!(1_u64 << 30)),
            ("negative", |manifest| manifest["layers"][0]["size"] = json!(-1)),
            ("cannot be read", |manifest| *manifest = json!([])),
        ];
        for (why, change) in breaks {
            let error = layer(&manifest(change)).err().expect(why).to_string();
            assert!(error.contains(why), "{why}: {error}");
        }
        let index = json!({ "schemaVersion": 2, "manifests": [] }).to_string();
        let error = layer(index.as_bytes()).err().expect("it is an index").to_string();
        assert!(error.contains("an index of several artifacts"), "{error}");
    }
}
