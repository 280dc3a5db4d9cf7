//! An authority that is played: accounts, orders, challenges that are really looked for, limits, and faults.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rcgen::{BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::CertificateSigningRequestDer;

use super::solve::fake::FakeSolver;
use super::{
    ACCOUNT_GONE, AUTHORITY_REFUSES, AUTHORITY_UNREACHABLE, Account, AccountKey, Acme, Authority, BAD_NONCE, Binding,
    Challenge, ChallengeKind, Name, ORDER_GONE, Order, OrderState, Proof, RATE_LIMITED, Window,
};
use crate::clock::Clock;
use crate::error::Error;

/// What goes wrong at the next call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing answers.
    Down,
    /// Too much was asked for; not before this time.
    Limited(Duration),
    /// It forgets its nonces.
    BadNonce,
    /// It forgets its orders.
    OrdersGone,
    /// It forgets its accounts.
    AccountsGone,
    /// It refuses, in these words.
    Refuses(String),
    /// It does what it is asked to, and its answer gets lost.
    AnswerLost,
    /// Nothing goes wrong.
    Nothing,
    /// It is asked, and never answers.
    Hangs,
    /// It does what it is asked to, and never answers.
    AnswerHangs,
}

/// An authority that is played. Clones share it.
#[derive(Clone)]
pub struct FakeAcme {
    state: Arc<Mutex<State>>,
    solver: FakeSolver,
    clock: Arc<dyn Clock>,
}

struct State {
    issuer: CertifiedIssuer<'static, KeyPair>,
    accounts: BTreeMap<String, AccountKey>,
    orders: BTreeMap<String, Played>,
    faults: VecDeque<Fault>,
    /// Names that the authority never believes in, and why.
    unproved: BTreeMap<String, String>,
    lifetime: Duration,
    window: Option<Window>,
    calls: Vec<&'static str>,
    made: u64,
}

#[derive(Clone, Debug)]
struct Played {
    account: String,
    state: OrderState,
    names: Vec<PlayedName>,
    chain: Option<String>,
    replaces: bool,
}

#[derive(Clone, Debug)]
struct PlayedName {
    name: String,
    token: String,
    proof: Proof,
    problem: Option<String>,
}

impl FakeAcme {
    /// Returns an authority that looks at what `solver` publishes.
    ///
    /// # Panics
    /// When no certificate can be made.
    #[must_use]
    pub fn new(solver: FakeSolver, clock: Arc<dyn Clock>) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate can sign itself");
        let state = State {
            issuer,
            accounts: BTreeMap::new(),
            orders: BTreeMap::new(),
            faults: VecDeque::new(),
            unproved: BTreeMap::new(),
            lifetime: Duration::from_hours(90 * 24),
            window: None,
            calls: Vec::new(),
            made: 0,
        };
        Self { state: Arc::new(Mutex::new(state)), solver, clock }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the next calls go wrong, one after the other.
    pub fn break_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state().faults.extend(faults);
    }

    /// Makes all that is to go wrong go right again.
    pub fn mend(&self) {
        self.state().faults.clear();
        self.state().unproved.clear();
    }

    /// Never believes in a name from now on.
    pub fn doubt(&self, name: &str, because: &str) {
        self.state().unproved.insert(name.to_owned(), because.to_owned());
    }

    /// Says how long certificates last from now on.
    pub fn set_lifetime(&self, lifetime: Duration) {
        self.state().lifetime = lifetime;
    }

    /// Says when certificates should be renewed.
    pub fn set_window(&self, window: Option<Window>) {
        self.state().window = window;
    }

    /// Returns which calls were made, in their order.
    #[must_use]
    pub fn calls(&self) -> Vec<&'static str> {
        self.state().calls.clone()
    }

    /// Returns how often a call was made.
    #[must_use]
    pub fn count(&self, call: &str) -> usize {
        self.state().calls.iter().filter(|made| **made == call).count()
    }

    /// Returns how many accounts there are.
    #[must_use]
    pub fn accounts(&self) -> usize {
        self.state().accounts.len()
    }

    /// Returns how many orders said what they renew.
    #[must_use]
    pub fn renewals(&self) -> usize {
        self.state().orders.values().filter(|order| order.replaces).count()
    }

    /// Begins a call: notes it, and fails if it is to.
    /// Plays a call with what befalls it.
    async fn play<T>(&self, call: &'static str, work: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error>
    where
        T: Send,
    {
        let lost = self.begin(call)?;
        lost.hang(Lost::Before).await;
        let done = work();
        lost.hang(Lost::After).await;
        lost.or(done?)
    }

    fn begin(&self, call: &'static str) -> Result<Lost, Error> {
        let mut state = self.state();
        state.calls.push(call);
        match state.faults.pop_front() {
            None | Some(Fault::Nothing) => Ok(Lost::No),
            Some(Fault::Hangs) => Ok(Lost::Before),
            Some(Fault::AnswerHangs) => Ok(Lost::After),
            Some(Fault::Down) => Err(Error::retryable(AUTHORITY_UNREACHABLE, "acme.test cannot be reached")),
            Some(Fault::Limited(wait)) => {
                let message = "the authority was asked for too much: too many (rateLimited)";
                Err(Error::retryable(RATE_LIMITED, message).not_before(Some(wait)))
            }
            Some(Fault::BadNonce) => Err(Error::retryable(BAD_NONCE, "the authority said: bad nonce")),
            Some(Fault::Refuses(words)) => {
                Err(Error::terminal(AUTHORITY_REFUSES, format!("the authority refused: {words}")))
            }
            Some(Fault::OrdersGone) => {
                state.orders.clear();
                Ok(Lost::No)
            }
            Some(Fault::AccountsGone) => {
                state.accounts.clear();
                Ok(Lost::No)
            }
            Some(Fault::AnswerLost) => Ok(Lost::Broken),
        }
    }
}

/// What becomes of the answer of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    /// It arrives.
    No,
    /// The connection breaks off.
    Broken,
    /// It never comes, because nothing was done.
    Before,
    /// It never comes, although all was done.
    After,
}

impl Lost {
    fn or<T>(self, answer: T) -> Result<T, Error> {
        match self {
            Self::Broken => Err(Error::retryable(AUTHORITY_UNREACHABLE, "acme.test breaks off")),
            _ => Ok(answer),
        }
    }

    /// Waits for ever, if that is what is to happen now.
    async fn hang(self, at: Self) {
        if self == at {
            std::future::pending::<()>().await;
        }
    }
}

impl State {
    fn check_account(&self, account: &Account) -> Result<(), Error> {
        match self.accounts.get(&account.url) {
            Some(key) if *key == account.key => Ok(()),
            _ => Err(Error::terminal(ACCOUNT_GONE, "the authority does not know the account any more")),
        }
    }

    fn find(&mut self, account: &Account, order: &str) -> Result<&mut Played, Error> {
        self.check_account(account)?;
        self.orders
            .get_mut(order)
            .filter(|played| played.account == account.url)
            .ok_or_else(|| Error::terminal(ORDER_GONE, "the authority does not know the order any more"))
    }
}

fn challenges(of: &PlayedName, account: &Account) -> Vec<Challenge> {
    let base = of.name.trim_start_matches("*.");
    let authorization = format!("{}.{}", of.token, account.key.fingerprint());
    let dns = (ChallengeKind::Dns01, format!("_acme-challenge.{base}"), format!("dns-{authorization}"));
    let http = (ChallengeKind::Http01, of.token.clone(), authorization);
    let kinds = if of.name.starts_with("*.") { vec![dns] } else { vec![http, dns] };
    let challenge = |(kind, asked, answer)| Challenge {
        kind,
        url: format!("https://acme.test/challenge/{}/{kind:?}", of.token),
        proof: of.proof,
        asked,
        answer,
        problem: of.problem.clone(),
    };
    kinds.into_iter().map(challenge).collect()
}

/// What the calls do.
impl FakeAcme {
    fn do_register(&self, authority: &Authority, key: &AccountKey) -> Result<String, Error> {
        let mut state = self.state();
        let known = state.accounts.iter().find(|(_, known)| *known == key).map(|(url, _)| url.clone());
        let url = known.unwrap_or_else(|| {
            state.made += 1;
            let url = format!("{}/account/{}", authority.directory, state.made);
            state.accounts.insert(url.clone(), key.clone());
            url
        });
        Ok(url)
    }

    fn do_order(
        &self,
        authority: &Authority,
        account: &Account,
        names: &[String],
        replaces: Option<&[u8]>,
    ) -> Result<String, Error> {
        let mut state = self.state();
        state.check_account(account)?;
        state.made += 1;
        let url = format!("{}/order/{}", authority.directory, state.made);
        let made = state.made;
        let name = |(at, name): (usize, &String)| PlayedName {
            name: name.clone(),
            token: format!("token-{made}-{at}"),
            proof: Proof::Pending,
            problem: None,
        };
        let order = Played {
            account: account.url.clone(),
            state: OrderState::Pending,
            names: names.iter().enumerate().map(name).collect(),
            chain: None,
            replaces: replaces.is_some(),
        };
        state.orders.insert(url.clone(), order);
        Ok(url)
    }

    fn do_look(&self, account: &Account, order: &str) -> Result<Order, Error> {
        let mut state = self.state();
        let played = state.find(account, order)?;
        let names = played.names.iter().map(|of| Name {
            name: of.name.clone(),
            proof: if of.proof == Proof::Processing { Proof::Pending } else { of.proof },
            challenges: challenges(of, account),
        });
        let seen = Order { state: played.state, names: names.collect(), problem: None, retry_after_seconds: None };
        // What it looks for is found between two looks.
        for at in 0..played.names.len() {
            if played.names[at].proof == Proof::Processing {
                played.names[at].proof = Proof::Valid;
            }
        }
        if played.state == OrderState::Pending && played.names.iter().all(|of| of.proof == Proof::Valid) {
            played.state = OrderState::Ready;
        }
        if played.state == OrderState::Processing {
            played.state = OrderState::Valid;
        }
        Ok(seen)
    }

    fn do_answer(&self, account: &Account, order: &str, wanted: &[String]) -> Result<(), Error> {
        let mut state = self.state();
        let unproved = state.unproved.clone();
        let solver = self.solver.clone();
        let played = state.find(account, order)?;
        for of in &mut played.names {
            let all = challenges(of, account);
            let Some(challenge) = all.iter().find(|one| wanted.contains(&one.url)) else { continue };
            if of.proof != Proof::Pending {
                continue;
            }
            let is_seen = match challenge.kind {
                ChallengeKind::Http01 => solver.content(&challenge.asked).as_ref() == Some(&challenge.answer),
                ChallengeKind::Dns01 => solver.values(&challenge.asked).contains(&challenge.answer),
            };
            let doubt = unproved.get(&of.name).cloned();
            let problem = doubt.or_else(|| (!is_seen).then(|| "nothing was found there (unauthorized)".to_owned()));
            of.proof = if problem.is_some() { Proof::Invalid } else { Proof::Processing };
            of.problem = problem;
        }
        if played.names.iter().any(|of| of.proof == Proof::Invalid) {
            played.state = OrderState::Invalid;
        }
        Ok(())
    }

    fn do_finalize(&self, account: &Account, order: &str, request: &[u8]) -> Result<(), Error> {
        let now = self.clock.now();
        let mut state = self.state();
        let lifetime = state.lifetime;
        let refused = |why: String| Error::terminal(AUTHORITY_REFUSES, format!("the authority refused: {why}"));
        let played = state.find(account, order)?.clone();
        if played.state != OrderState::Ready {
            return Err(Error::retryable(AUTHORITY_UNREACHABLE, "the order is not ready (orderNotReady)"));
        }
        let request = CertificateSigningRequestDer::from(request.to_vec());
        let mut request =
            CertificateSigningRequestParams::from_der(&request).map_err(|error| refused(error.to_string()))?;
        let asked: BTreeSet<String> = request
            .params
            .subject_alt_names
            .iter()
            .filter_map(|name| match name {
                rcgen::SanType::DnsName(name) => Some(name.as_str().to_owned()),
                _ => None,
            })
            .collect();
        if asked != played.names.iter().map(|of| of.name.clone()).collect() {
            return Err(refused("the names differ (badCSR)".to_owned()));
        }
        let since_1970 = u64::try_from(now.as_second()).unwrap_or_default();
        let begins = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(since_1970);
        (request.params.not_before, request.params.not_after) = (begins, begins + lifetime);
        request.params.use_authority_key_identifier_extension = true;
        let issued = request.signed_by(&state.issuer).map_err(|error| refused(error.to_string()))?;
        let chain = format!("{}{}", issued.pem(), state.issuer.pem());
        let played = state.find(account, order)?;
        (played.state, played.chain) = (OrderState::Processing, Some(chain));
        Ok(())
    }

    fn do_fetch(&self, account: &Account, order: &str) -> Result<String, Error> {
        let chain = self.state().find(account, order)?.chain.clone();
        chain.ok_or_else(|| Error::retryable(AUTHORITY_UNREACHABLE, "the certificate is not there yet"))
    }

    fn do_renewal(&self) -> Result<Option<Window>, Error> {
        let window = self.state().window.clone();
        Ok(window)
    }
}

#[async_trait]
impl Acme for FakeAcme {
    async fn register(
        &self,
        authority: &Authority,
        key: &AccountKey,
        _email: Option<&str>,
        _binding: Option<&Binding>,
    ) -> Result<String, Error> {
        self.play("register", || self.do_register(authority, key)).await
    }

    async fn order(
        &self,
        authority: &Authority,
        account: &Account,
        names: &[String],
        replaces: Option<&[u8]>,
    ) -> Result<String, Error> {
        self.play("order", || self.do_order(authority, account, names, replaces)).await
    }

    async fn look(&self, _authority: &Authority, account: &Account, order: &str) -> Result<Order, Error> {
        self.play("look", || self.do_look(account, order)).await
    }

    async fn answer(
        &self,
        _authority: &Authority,
        account: &Account,
        order: &str,
        wanted: &[String],
    ) -> Result<(), Error> {
        self.play("answer", || self.do_answer(account, order, wanted)).await
    }

    async fn finalize(
        &self,
        _authority: &Authority,
        account: &Account,
        order: &str,
        request: &[u8],
    ) -> Result<(), Error> {
        self.play("finalize", || self.do_finalize(account, order, request)).await
    }

    async fn fetch(&self, _authority: &Authority, account: &Account, order: &str) -> Result<String, Error> {
        self.play("fetch", || self.do_fetch(account, order)).await
    }

    async fn renewal(
        &self,
        _authority: &Authority,
        _account: &Account,
        _certificate: &[u8],
    ) -> Result<Option<Window>, Error> {
        self.play("renewal", || self.do_renewal()).await
    }
}
