//! From the arguments of `bookingq gateway` and its file to a configuration.

use std::path::{Path, PathBuf};

use bookingq_api::args::{GatewayArgs, InvalidArgs, QueueAddress, ServiceArgs};
use bookingq_api::gateway_file::{BrandFile, GatewayFile, GatewayQueueFile, ItemFile};
use bookingq_core::{Details, Invalid, QueueName};
use bookingq_identity::{ReturnOrigins, WebOrigin};
use bookingq_serve::own_name;
use bookingq_serve::tls::{ClientTls, Identity, ServerTls};

use crate::config::{
    BackendConfig, Brand, GatewayConfig, ItemSetting, KeySource, QueueConfig, WorkersAt,
    WorkersConfig,
};
use crate::limits::proxies::TrustedProxies;
use crate::origin::AllowedOrigins;

/// Why a gateway cannot be configured.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// An argument.
    #[error(transparent)]
    Argument(#[from] InvalidArgs),
    /// The file cannot be read.
    #[error("cannot read --config {}: {cause}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The cause.
        cause: std::io::Error,
    },
    /// The file is not YAML, or not of the right shape.
    #[error("--config {}: {}", file.display(), cause.to_string().trim_start_matches("error: "))]
    Shape {
        /// The file.
        file: PathBuf,
        /// The cause, with its line.
        cause: Box<serde_saphyr::Error>,
    },
    /// A field of the file has a value that is not allowed.
    #[error("--config {}: queues[{queue}].{invalid}", file.display())]
    Field {
        /// The file.
        file: PathBuf,
        /// Which queue of the file, from 0.
        queue: usize,
        /// The field.
        invalid: Invalid,
    },
    /// Two queues have one name.
    #[error("the queue {0} is given twice; allowed: each name once")]
    Twice(QueueName),
    /// There is no queue.
    #[error("no queue is given; allowed: --queue NAME=URL, or --config with at least one queue")]
    NoQueue,
    /// No keys are given.
    #[error(
        "no keys are given; allowed: --keys FOLDER (`bookingq keys new` makes keys), or \
         --ephemeral-keys to try it, which forgets every place when it ends"
    )]
    NoKeys,
}

impl GatewayConfig {
    /// Validates the arguments, and reads the file that they name.
    ///
    /// # Errors
    /// [`ConfigError`], which names the flag or the field, its value and what is allowed.
    pub fn load(args: GatewayArgs) -> Result<Self, ConfigError> {
        let queues = queues(&args)?;
        let (public, identity, backend) = (args.public, args.identity, args.backend);
        let keys = match (identity.keys, identity.ephemeral_keys) {
            (Some(folder), _) => KeySource::Folder(folder),
            (None, true) => KeySource::Ephemeral,
            (None, false) => return Err(ConfigError::NoKeys),
        };
        let backend_tls = server_tls(
            backend.backend_tls_cert,
            backend.backend_tls_key,
            backend.backend_tls_client_ca,
        );
        let backend = args.backend_listen.map(|listen| BackendConfig { listen, tls: backend_tls });
        Ok(Self {
            id: args.id.unwrap_or_else(own_name),
            listen: args.listen,
            tls: server_tls(public.tls_cert, public.tls_key, None),
            backend,
            grpc: args.grpc_listen,
            admin: args.admin_listen,
            queues,
            workers: workers(args.workers_call.into())?,
            keys,
            issuer: identity.issuer,
            place_lifetime: identity.place_lifetime.get(),
            trusted_proxies: TrustedProxies::new(&public.trusted_proxies).map_err(refused)?,
            address_limits: !public.no_address_limits,
            max_connections: public.max_connections as usize,
            insecure_cookies: public.insecure_cookies,
            access_log: public.access_log,
            drain: args.drain.drain.get(),
            linger: args.drain.linger.get(),
        })
    }
}

/// clap accepts a certificate only together with its key.
fn server_tls(
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    client_ca: Option<PathBuf>,
) -> Option<ServerTls> {
    let identity = Identity { certificate: certificate?, key: key? };
    Some(ServerTls { identity, client_ca })
}

fn workers(call: ServiceArgs) -> Result<WorkersConfig, InvalidArgs> {
    let identity = match (call.certificate, call.key) {
        (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
        (None, None) => None,
        (certificate, _) => {
            let (set, missing) =
                if certificate.is_some() { ("cert", "key") } else { ("key", "cert") };
            return Err(InvalidArgs {
                flag: format!("workers-tls-{set}"),
                value: format!("set without --workers-tls-{missing}"),
                allowed: "both or neither".to_owned(),
            });
        }
    };
    let tls = ClientTls { ca: call.ca, identity, server_name: call.server_name };
    Ok(WorkersConfig { timeout: call.timeout.get(), tls })
}

fn refused(invalid: Invalid) -> InvalidArgs {
    InvalidArgs {
        flag: invalid.field.into_owned(),
        value: invalid.value,
        allowed: invalid.allowed.to_owned(),
    }
}

/// The queues of the flags, and those of the file with their settings.
fn queues(args: &GatewayArgs) -> Result<Vec<QueueConfig>, ConfigError> {
    let common = CommonSettings::new(args)?;
    let mut flags = args.queues.clone();
    let mut queues = Vec::new();
    if let Some(file) = &args.config {
        for (index, queue) in read(file)?.queues.into_iter().enumerate() {
            let invalid =
                |invalid| ConfigError::Field { file: file.clone(), queue: index, invalid };
            queues.push(common.of_file(queue, &mut flags).map_err(invalid)?);
        }
    }
    for QueueAddress { name, workers } in flags {
        let workers = workers.parse().map_err(|_| InvalidArgs {
            flag: "queue".to_owned(),
            value: format!("{name}={workers}"),
            allowed: format!("{name}={URL_RULE}"),
        })?;
        queues.push(common.of_flag(name, workers));
    }
    let mut names: Vec<_> = queues.iter().map(|queue| &queue.name).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(ConfigError::Twice(twice[0].clone()));
    }
    if queues.is_empty() { Err(ConfigError::NoQueue) } else { Ok(queues) }
}

const URL_RULE: &str = "http://HOST:PORT or https://HOST:PORT";

fn read(file: &Path) -> Result<GatewayFile, ConfigError> {
    let text = std::fs::read_to_string(file)
        .map_err(|cause| ConfigError::Read { file: file.to_owned(), cause })?;
    serde_saphyr::from_str(&text)
        .map_err(|cause| ConfigError::Shape { file: file.to_owned(), cause: Box::new(cause) })
}

/// What the flags set for all queues.
struct CommonSettings<'a> {
    origins: AllowedOrigins,
    return_origins: ReturnOrigins,
    audience: Option<&'a str>,
}

impl<'a> CommonSettings<'a> {
    fn new(args: &'a GatewayArgs) -> Result<Self, InvalidArgs> {
        let (origins, returns) = (&args.public.origins, &args.identity.return_origins);
        Ok(Self {
            origins: AllowedOrigins::new("origin", origins).map_err(refused)?,
            return_origins: return_origins("return-origin", returns).map_err(refused)?,
            audience: args.identity.audience.as_deref(),
        })
    }

    fn of_flag(&self, name: QueueName, workers: WorkersAt) -> QueueConfig {
        let mut queue = QueueConfig::new(name, workers);
        if let Some(audience) = self.audience {
            audience.clone_into(&mut queue.settings.audience);
        }
        queue.settings.origins = self.origins.clone();
        queue.settings.return_origins = self.return_origins.clone();
        queue
    }

    /// A queue of the file. A flag with its name gives the workers, and is used up.
    fn of_file(
        &self,
        file: GatewayQueueFile,
        flags: &mut Vec<QueueAddress>,
    ) -> Result<QueueConfig, Invalid> {
        let name = QueueName::new(&file.name)
            .map_err(|invalid| Invalid { field: "name".into(), ..invalid })?;
        let flag = flags.iter().position(|flag| flag.name == name);
        let workers = flag.map(|index| flags.remove(index).workers).or(file.workers);
        let workers = workers.unwrap_or_default();
        let url = workers.parse().map_err(|_| Invalid::new("workers", &workers, URL_RULE))?;
        let mut queue = self.of_flag(name, url);
        let settings = &mut queue.settings;
        settings.hibernates = file.hibernates;
        if let Some(title) = file.title {
            settings.title = text("title", title, 200)?;
        }
        if let Some(audience) = file.audience {
            settings.audience = text("audience", audience, 200)?;
        }
        settings.origins = self.origins.with(&AllowedOrigins::new("origins", file.origins)?);
        if !file.return_origins.is_empty() {
            settings.return_origins = return_origins("returnOrigins", &file.return_origins)?;
        }
        let return_url = file.return_url.map(|url| settings.return_origins.parse(&url));
        settings.return_url = return_url.transpose()?;
        settings.items = file.items.into_iter().map(item).collect::<Result<_, _>>()?;
        settings.brand = brand(file.brand)?;
        Ok(queue)
    }
}

fn return_origins(field: &'static str, origins: &[String]) -> Result<ReturnOrigins, Invalid> {
    let parse = |origin: &String| {
        WebOrigin::new(origin).map_err(|invalid| Invalid { field: field.into(), ..invalid })
    };
    origins.iter().map(parse).collect::<Result<_, _>>().map(ReturnOrigins::new)
}

fn item(file: ItemFile) -> Result<ItemSetting, Invalid> {
    let max_quantity = file.max_quantity.unwrap_or(1);
    Details::new(&file.name, 1, &[])
        .map_err(|invalid| Invalid { field: "items.name".into(), ..invalid })?;
    if !(1..=100).contains(&max_quantity) {
        return Err(Invalid::new("items.maxQuantity", &max_quantity.to_string(), "1 to 100"));
    }
    let title = text("items.title", file.title.unwrap_or_else(|| file.name.clone()), 200)?;
    Ok(ItemSetting { name: file.name, title, max_quantity })
}

fn brand(file: BrandFile) -> Result<Brand, Invalid> {
    let BrandFile { logo, color, text: sentence, home } = file;
    Ok(Brand {
        logo: logo.map(|logo| link("brand.logo", logo)).transpose()?,
        color: color.map(hex_color).transpose()?,
        text: sentence.map(|sentence| text("brand.text", sentence, 500)).transpose()?,
        home: home.map(|home| link("brand.home", home)).transpose()?,
    })
}

fn text(field: &'static str, value: String, most: usize) -> Result<String, Invalid> {
    let fits =
        !value.trim().is_empty() && value.len() <= most && !value.chars().any(char::is_control);
    if fits {
        return Ok(value);
    }
    let allowed = if most <= 200 {
        "1 to 200 bytes without control characters"
    } else {
        "1 to 500 bytes without control characters"
    };
    Err(Invalid::new(field, &value, allowed))
}

fn hex_color(value: String) -> Result<String, Invalid> {
    let digits = value.strip_prefix('#').unwrap_or_default();
    let is_color =
        matches!(digits.len(), 3 | 6) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if is_color {
        return Ok(value);
    }
    Err(Invalid::new("brand.color", &value, "#rgb or #rrggbb, in hexadecimal digits"))
}

/// An https: URL, or a path of the own host; nothing that could leave an attribute or a policy.
fn link(field: &'static str, value: String) -> Result<String, Invalid> {
    let clean = value.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'<>\\;,`".contains(&byte));
    let path = value.starts_with('/') && !value.starts_with("//");
    let url = value.parse::<http::Uri>().is_ok_and(|uri| {
        uri.scheme_str() == Some("https")
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
    });
    if clean && value.len() <= 2048 && (path || url) {
        return Ok(value);
    }
    Err(Invalid::new(field, &value, "https://… or a path that starts with /"))
}
