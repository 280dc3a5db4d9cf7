//! Somebody with a browser: cookies, forms, links.

use std::collections::{BTreeSet, HashMap};
use std::io::Read as _;

use crate::showcase::{Scene, Showcase};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};

/// Somebody with a browser.
pub(crate) struct Visitor {
    pub http: Client,
    base: String,
    pub cookie: Option<String>,
}

/// How long a test waits for what must happen soon.
pub(crate) const SOON: std::time::Duration = std::time::Duration::from_secs(20);

/// An answer, read to its end.
pub(crate) struct Seen {
    pub code: u16,
    pub headers: reqwest::header::HeaderMap,
    pub bytes: Vec<u8>,
}

impl Seen {
    pub(crate) async fn of(answer: Response) -> Self {
        let (code, headers) = (answer.status().as_u16(), answer.headers().clone());
        Self { code, headers, bytes: answer.bytes().await.unwrap().to_vec() }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Returns the text, unpacked when it was compressed.
    pub(crate) fn text(&self) -> String {
        if self.header("content-encoding") != "gzip" {
            return String::from_utf8(self.bytes.clone()).unwrap();
        }
        let mut text = String::new();
        flate2::read::GzDecoder::new(&self.bytes[..]).read_to_string(&mut text).unwrap();
        text
    }

    pub(crate) fn location(&self) -> &str {
        self.header("location")
    }
}

impl Visitor {
    /// Returns a browser that nobody has signed in with.
    pub(crate) fn stranger(showcase: &Showcase) -> Self {
        let http = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        Self { http, base: showcase.server.url(""), cookie: None }
    }

    /// Returns a browser of whom the token stands for, signed in through the form.
    pub(crate) async fn signed_in(showcase: &Showcase, token: &str) -> Self {
        let mut visitor = Self::stranger(showcase);
        let form = visitor.get("/login?next=/queue").await;
        let form_cookie = cookie(&form, "ccd_sign_in").unwrap();
        visitor.cookie = Some(form_cookie);
        let fields =
            [("token", field(&form.text(), "token")), ("next", "/queue".to_owned()), ("credential", token.to_owned())];
        let answer = visitor.post("/login", &fields).await;
        assert_eq!((answer.code, answer.location()), (303, "/queue"), "{}", answer.text());
        visitor.cookie = Some(cookie(&answer, "ccd_session").unwrap());
        visitor
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.base));
        let request = request.header("accept", "text/html,*/*;q=0.8").header("accept-encoding", "gzip");
        match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Seen {
        Seen::of(self.request("GET", path).send().await.unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, fields: &[(&str, String)]) -> Seen {
        let body: Vec<String> = fields.iter().map(|(key, value)| format!("{key}={}", encoded(value))).collect();
        let request = self.request("POST", path).header("content-type", "application/x-www-form-urlencoded");
        Seen::of(request.body(body.join("&")).send().await.unwrap()).await
    }

    /// Opens the question whether one is sure and presses its button, with some fields changed.
    pub(crate) async fn press(&self, path: &str, changes: &[(&str, &str)]) -> Seen {
        let page = self.get(path).await;
        assert_eq!(page.code, 200, "{path}: {}", page.text());
        let html = page.text();
        let mut fields = vec![("token", field(&html, "token")), ("uid", field(&html, "uid"))];
        fields.retain(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        fields.extend(changes.iter().map(|(name, value)| (*name, (*value).to_owned())));
        self.post(path, &fields).await
    }
}

/// Returns a cookie that an answer sets, as `name=value`.
pub(crate) fn cookie(answer: &Seen, name: &str) -> Option<String> {
    let set = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    set.filter_map(|value| value.split(';').next())
        .find(|pair| pair.starts_with(&format!("{name}=")))
        .map(str::to_owned)
}

/// Returns the value of a hidden field of the last form that has it.
pub(crate) fn field(html: &str, name: &str) -> String {
    let marker = format!("name=\"{name}\" value=\"");
    let Some(at) = html.rfind(&marker) else { return String::new() };
    html[at + marker.len()..].split('"').next().unwrap().to_owned()
}

pub(crate) fn encoded(text: &str) -> String {
    let escape =
        |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(escape).collect()
}

/// Returns the addresses of ours that a page links to, with what HTML escapes undone.
pub(crate) fn links(html: &str) -> BTreeSet<String> {
    let parts =
        html.split(" href=\"").skip(1).chain(html.split(" src=\"").skip(1)).chain(html.split(" action=\"").skip(1));
    let targets = parts.filter_map(|part| part.split('"').next()).map(|target| target.replace("&amp;", "&"));
    let paths = targets.map(|target| target.split('#').next().unwrap_or_default().to_owned());
    paths.filter(|target| target.starts_with('/')).collect()
}

/// Follows every link from the home page on; returns each page by its path. Of pages that differ in a number alone, such
/// as those of the runs of one recipe, it looks at two.
pub(crate) async fn crawl(visitor: &Visitor) -> Vec<(String, Seen)> {
    const ALIKE_MAX: usize = 2;
    let mut alike: HashMap<String, usize> = HashMap::new();
    let mut waiting = vec!["/".to_owned()];
    let mut seen: BTreeSet<String> = waiting.iter().cloned().collect();
    let mut pages = Vec::new();
    while let Some(path) = waiting.pop() {
        let sort = path.replace(|character: char| character.is_ascii_digit(), "");
        let count = alike.entry(sort).or_default();
        *count += 1;
        if *count > ALIKE_MAX {
            continue;
        }
        let page = visitor.get(&path).await;
        if page.header("content-type").starts_with("text/html") {
            waiting
                .extend(links(&page.text()).into_iter().filter(|link| link != "/logout" && seen.insert(link.clone())));
        }
        pages.push((path, page));
    }
    pages
}

pub(crate) async fn open(scene: Scene) -> Showcase {
    Showcase::open(scene).await.unwrap()
}
