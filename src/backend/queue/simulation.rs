//! Fairness as figures: a queue in virtual time, and the table in docs/queue.md that it must agree
//! with.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::fmt::Write as _;
use std::path::PathBuf;

use super::*;
use crate::access::Party;
use crate::config::{Priority, Weights};

/// One answer takes so long on average.
const SERVICE: u64 = 1000;
const BEGIN: &str = "<!-- fairness: made by a test -->\n";
const END: &str = "<!-- end of fairness -->\n";

/// A request of a simulation.
#[derive(Clone, Copy)]
struct Request {
    at: u64,
    class: Priority,
    caller: usize,
}

fn requests(count: usize, class: Priority, caller: usize) -> Vec<Request> {
    vec![Request { at: 0, class, caller }; count]
}

/// In what order requests are served.
trait Discipline {
    fn join(&mut self, number: usize, request: Request);
    fn next(&mut self) -> Option<usize>;
}

struct Fair(Line<usize>);

impl Discipline for Fair {
    fn join(&mut self, number: usize, Request { class, caller, .. }: Request) {
        let caller = Party::Key(caller.to_string().into());
        let joined = self.0.join(class, caller, number);
        assert!(matches!(joined, Joined::In { pushed_out: None, .. }), "there is room for all");
    }

    fn next(&mut self) -> Option<usize> {
        self.0.next().map(|(_, number)| number)
    }
}

/// What the queue would be without any of this.
struct ByArrival(VecDeque<usize>);

impl Discipline for ByArrival {
    fn join(&mut self, number: usize, _: Request) {
        self.0.push_back(number);
    }

    fn next(&mut self) -> Option<usize> {
        self.0.pop_front()
    }
}

/// Answers take half to one and a half of [`SERVICE`], by a generator without a seed.
fn service(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    SERVICE / 2 + (*state >> 33) % SERVICE
}

/// When each request is served.
fn run(queue: &mut dyn Discipline, permits: usize, requests: &[Request]) -> Vec<u64> {
    let mut served = vec![0; requests.len()];
    let mut coming: Vec<_> = (0..requests.len()).collect();
    coming.sort_by_key(|number| requests[*number].at);
    let mut coming = coming.into_iter().peekable();
    let (mut ends, mut state) = (BinaryHeap::new(), 0);
    loop {
        let arrival = coming.peek().map(|number| requests[*number].at);
        let end = ends.peek().map(|Reverse(end)| *end);
        let Some(now) = arrival.into_iter().chain(end).min() else { return served };
        while let Some(number) = coming.next_if(|number| requests[*number].at <= now) {
            queue.join(number, requests[number]);
        }
        while ends.peek().is_some_and(|Reverse(end)| *end <= now) {
            ends.pop();
        }
        while ends.len() < permits
            && let Some(number) = queue.next()
        {
            served[number] = now;
            ends.push(Reverse(now + service(&mut state)));
        }
    }
}

fn fair(permits: usize, requests: &[Request]) -> Vec<u64> {
    let bounds = Bounds { length: 100_000, per_caller: 100_000 };
    run(&mut Fair(Line::new(Weights::default(), bounds)), permits, requests)
}

fn by_arrival(permits: usize, requests: &[Request]) -> Vec<u64> {
    run(&mut ByArrival(VecDeque::new()), permits, requests)
}

/// A load, and one more request that comes at some moment.
struct Scenario {
    name: &'static str,
    permits: usize,
    load: Vec<Request>,
    single: Priority,
}

struct Row {
    /// The longest wait of the single request, whenever it came, in service times.
    fair: f64,
    by_arrival: f64,
    /// Of the turns while all classes of the load wait, so many went to the lowest, in percent.
    lowest: Option<f64>,
}

#[allow(clippy::cast_precision_loss, reason = "small numbers")]
fn row(scenario: &Scenario) -> Row {
    let longest = |serve: fn(usize, &[Request]) -> Vec<u64>| {
        let waits = (1..=30).map(|step| {
            let at = step * SERVICE / 7;
            let mut all = scenario.load.clone();
            all.push(Request { at, class: scenario.single, caller: 999 });
            serve(scenario.permits, &all)[scenario.load.len()] - at
        });
        waits.max().unwrap_or(0) as f64 / SERVICE as f64
    };
    Row { fair: longest(fair), by_arrival: longest(by_arrival), lowest: lowest(scenario) }
}

#[allow(clippy::cast_precision_loss, reason = "small numbers")]
fn lowest(scenario: &Scenario) -> Option<f64> {
    let served = fair(scenario.permits, &scenario.load);
    let mut last: BTreeMap<Priority, u64> = BTreeMap::new();
    for (request, at) in scenario.load.iter().zip(&served) {
        let latest = last.entry(request.class).or_default();
        *latest = (*latest).max(*at);
    }
    let until = *last.values().min()?;
    let lowest = *last.keys().next().filter(|_| last.len() > 1)?;
    let within = scenario.load.iter().zip(&served).filter(|(_, at)| **at <= until);
    let (all, low) = within.fold((0, 0), |(all, low), (request, _)| {
        (all + 1, low + u32::from(request.class == lowest))
    });
    Some(100.0 * f64::from(low) / f64::from(all))
}

fn scenarios() -> Vec<Scenario> {
    use Priority::{High, Low, Normal};
    let ten = (0..10).flat_map(|caller| requests(100, Normal, caller)).collect();
    let classes = |each| {
        [Low, Normal, High].into_iter().flat_map(move |class| requests(each, class, class as usize))
    };
    vec![
        Scenario {
            name: "one caller has 1,000 waiting, another comes with one",
            permits: 1,
            load: requests(1001, Normal, 0),
            single: Normal,
        },
        Scenario {
            name: "the same, with 10 permits",
            permits: 10,
            load: requests(1010, Normal, 0),
            single: Normal,
        },
        Scenario {
            name: "ten callers have 100 waiting each, another comes with one",
            permits: 1,
            load: ten,
            single: Normal,
        },
        Scenario {
            name: "1,000 of low priority wait, one of high comes",
            permits: 1,
            load: requests(1001, Low, 0),
            single: High,
        },
        Scenario {
            name: "1,000 of high priority wait, one of normal comes",
            permits: 1,
            load: requests(1001, High, 0),
            single: Normal,
        },
        Scenario {
            name: "1,000 of high priority wait, one of low comes",
            permits: 1,
            load: requests(1001, High, 0),
            single: Low,
        },
        Scenario {
            name: "1,000 of each priority wait, one of high comes",
            permits: 1,
            load: classes(1000).collect(),
            single: High,
        },
        Scenario {
            name: "1,000 of each priority wait, another's one of low comes",
            permits: 1,
            load: classes(1000).collect(),
            single: Low,
        },
    ]
}

fn table() -> String {
    let mut text = "| load | permits | longest wait of the one | by arrival it would be | share of the lowest priority |\n|---|---|---|---|---|\n".to_owned();
    for scenario in scenarios() {
        let Row { fair, by_arrival, lowest } = row(&scenario);
        let Scenario { name, permits, .. } = scenario;
        let lowest = lowest.map_or("-".to_owned(), |share| format!("{share:.1} %"));
        writeln!(text, "| {name} | {permits} | {fair:.1} | {by_arrival:.0} | {lowest} |").unwrap();
    }
    text
}

#[test]
fn one_caller_with_a_thousand_waiting_delays_another_by_less_than_two_service_times() {
    for scenario in &scenarios()[..2] {
        let Row { fair, by_arrival, .. } = row(scenario);
        assert!(fair < 2.0, "{}: {fair} service times", scenario.name);
        assert!(by_arrival > 90.0, "the load is one: {by_arrival}");
    }
}

#[test]
fn the_table_of_the_documentation_is_true() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/queue.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once(BEGIN).expect("the document has the mark");
    let (kept, after) = rest.split_once(END).expect("the document has the end mark");
    let found = table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, [before, BEGIN, &found, END, after].concat()).unwrap();
        return;
    }
    assert!(found == kept, "docs/queue.md says otherwise; UPDATE_DOCS=1 writes it anew:\n{found}");
}
