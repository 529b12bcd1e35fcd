/**
 * How many requests a unit should have under way at once, from how long its answers take.
 *
 * Little's law: a unit that answers `r` requests a second, each of which takes `l` seconds when nobody waits, has r × l
 * of them at work. More than that wait inside the unit, where nobody sees their priority. So the limit is the work that
 * was measured while the unit was saturated, and a little more to find out whether it can do better. brpc's automatic
 * concurrency limiter does the same (https://brpc.apache.org/docs/server/auto-concurrency-limiter/); AIMD and gradient
 * limiters (Netflix, Envoy) take many rounds to come down from five times too much, and keep a standing queue of the
 * root of the limit, which is half of a small one.
 *
 * "When nobody waits" is known for each route and unit (baselines.ts), so a change of the mix of fast and slow routes is
 * not taken for congestion. It may be wrong, after a deployment or when the gateway began under overload: then the limit
 * is halved for a moment, and what answers take meanwhile is the new truth.
 *
 * Pure: the caller says what happened and how long it took.
 */

/** What a unit did since the last window. */
export interface Window {
  /** Milliseconds. */
  readonly elapsed: number;
  readonly answers: number;
  /** Sum of the milliseconds that the answers took. */
  readonly latency: number;
  /** Sum of the milliseconds that they take when nobody waits. */
  readonly baseline: number;
  /** Most requests that were under way. */
  readonly peak: number;
  /** Requests that found the limit reached. */
  readonly full: number;
}

const MIN = 3;
/** A gateway that has just started finds everything slow: not lower than this before it has tried. */
const UNKNOWN = 16;
/** What it needs is known after so much time with room for all (ms). */
const ACQUAINTED = 2_000;
/** A gateway that has just started knows nothing, and must not refuse what its predecessor served. */
const START = 128;
/** Without congestion there is room for bursts: at least so many, and so many times the most of late. */
const AT_EASE = 8;
const ROOM = 2.5;
/** Answers take so many times their baseline: above, the unit is congested; below, it could do more. */
const CONGESTED = 1.3;
const FREE = 1.15;
/** While it could do more, the limit grows by this in the time of an answer, whatever the work was measured as. */
const GROWS = 1.05;
const MOST_EXPLORING = 0.3;
const LEAST_EXPLORING = 0.06;
/** First probe after the limit has held requests back for so long (ms); each that changes nothing doubles it. */
const FIRST_PROBE = 300;
const RAREST_PROBE = 60_000;
/** Answers and milliseconds that a probe listens for. */
const PROBE_ANSWERS = 40;
const PROBE_TIME = 5_000;
/** A probe takes some times as long as an answer, and must remain a small part of the time. */
const PROBE_PAUSE = 20;
const FIRST_PROBE_PAUSE = 5;
/** At half the limit the unit does nearly as much: the limit was at least twice too high. */
const AS_MUCH = 0.9;
/** Milliseconds in which a correction of the baselines is forgotten, as they follow by themselves. */
const FOLLOWS = 30_000;
/** Milliseconds in which a limit that nobody reaches comes down to what is needed at ease. */
const EASES = 2_000;
/** Answers over which noise is smoothed. */
const SMOOTHING = 40;

/** Milliseconds that an answer may be late for no reason of the unit's: timers, the kernel, this process. */
const SLACK = 3;

function congestionOf(latency: number, baseline: number, answers: number): number {
  return (latency - SLACK * answers) / baseline;
}

interface Probe {
  readonly before: number;
  /** Work done per millisecond before, by uncorrected baselines. */
  readonly rate: number;
  /** Milliseconds until what began before it has left. */
  settles: number;
  obeyed: boolean;
  elapsed: number;
  answers: number;
  latency: number;
  baseline: number;
}

export class ConcurrencyLimit {
  limit = START;
  /** Requests at work while the unit was saturated. */
  #work = 0;
  #exploring = MOST_EXPLORING;
  /** It was congested since it last had room for all. */
  #saturated = false;
  #everCongested = false;
  /** Milliseconds in which there was room for all. */
  #easedFor = 0;
  /** Since the limit holds requests back. */
  #hasProbed = false;
  #recentPeak = 0;
  /** What the baselines are wrong by, as was found by trying. */
  #scale = 1;
  /** Smoothed sums. */
  #latency = 0;
  #baseline = 0;
  #elapsed = 0;
  #answers = 0;
  #wasPlain = false;
  #sinceRaise = 0;
  #heldFor = 0;
  #probeAfter = FIRST_PROBE;
  #probe: Probe | undefined;
  /** What the last probe found is not thrown over by less than another one. */
  #floor = UNKNOWN;

  get #isAcquainted(): boolean {
    return this.#easedFor > ACQUAINTED;
  }

  /** Whether answers now take as long as they do when nobody waits, so that baselines may follow them. */
  get calm(): boolean {
    return !this.#saturated && this.#probe === undefined;
  }

  update(window: Window): void {
    const { elapsed, answers, latency, baseline, peak, full } = window;
    this.#recentPeak = Math.max(peak, this.#recentPeak * Math.exp(-elapsed / 10_000));
    if (answers === 0 || baseline <= 0) return;
    if (this.#probe !== undefined) {
      this.#listen(this.#probe, window);
      return;
    }
    const kept = Math.exp(-answers / SMOOTHING);
    this.#latency = this.#latency * kept + latency;
    this.#baseline = this.#baseline * kept + baseline;
    this.#elapsed = this.#elapsed * kept + elapsed;
    this.#answers = this.#answers * kept + answers;
    const now = congestionOf(latency, baseline * this.#scale, answers);
    // Smoothed, unless it is beyond doubt: twice in a row, since this machine may have stopped for a moment.
    const plain = now > 2 * CONGESTED && this.#wasPlain;
    this.#wasPlain = now > 2 * CONGESTED;
    const congestion = plain ? now : congestionOf(this.#latency, this.#baseline * this.#scale, this.#answers);
    const work = (baseline * this.#scale + SLACK * answers) / elapsed;
    const held = full > 0;
    if (held || congestion > CONGESTED) {
      this.#work = work > this.#work || !this.#saturated ? work : this.#work + (work - this.#work) * 0.2;
    }
    // Few answers scatter: where everybody has room, a somewhat longer one means nothing.
    if (congestion > CONGESTED && peak > MIN && (held || plain)) {
      // Where there was room a moment ago, what was needed then is known; how much too slow it is now is not.
      if (!this.#saturated && this.#isAcquainted) this.#floor = Math.max(MIN, Math.ceil(this.limit / 3));
      this.#saturated = true;
      this.#everCongested = true;
      this.#exploring = Math.max(LEAST_EXPLORING, this.#exploring / 2);
      this.limit = Math.min(this.limit, Math.max(this.#floor, this.#aim()));
    } else if (held) this.#raise(congestion, elapsed, latency / answers);
    else this.#ease(elapsed);
    this.#heldFor = held ? this.#heldFor + elapsed : 0;
    if (!held) {
      this.#probeAfter = FIRST_PROBE;
      this.#hasProbed = false;
    }
    const answer = latency / answers;
    const pause = (this.#hasProbed ? PROBE_PAUSE : FIRST_PROBE_PAUSE) * answer;
    if (this.#heldFor >= Math.max(this.#probeAfter, pause)) this.#beginProbe();
  }

  /** Once in the time of an answer: what the last raise did is not to be seen before. */
  #raise(congestion: number, elapsed: number, answer: number): void {
    this.#sinceRaise += elapsed;
    if (congestion >= FREE || this.#sinceRaise < answer) return;
    this.#sinceRaise = 0;
    this.#exploring = Math.min(MOST_EXPLORING, this.#exploring + 0.04);
    const more = this.#everCongested ? Math.max(this.#aim(), this.limit * GROWS) : this.limit * 2;
    this.limit = Math.ceil(Math.max(this.limit, more));
  }

  #ease(elapsed: number): void {
    this.#saturated = false;
    this.#easedFor += elapsed;
    if (this.#isAcquainted) this.#floor = MIN;
    this.#scale += (1 - this.#scale) * Math.min(1, elapsed / FOLLOWS);
    const ease = Math.ceil(Math.max(AT_EASE, ROOM * this.#recentPeak));
    this.limit = Math.max(ease, Math.floor(this.limit * Math.exp(-elapsed / EASES)));
  }

  #aim(): number {
    return Math.max(MIN, Math.ceil(this.#work * (1 + this.#exploring)));
  }

  /** Half the limit for a moment: does the unit do less, and how long do its answers take? */
  #beginProbe(): void {
    this.#hasProbed = true;
    const before = this.limit;
    this.limit = Math.max(1, Math.ceil(before / 2));
    this.#probe = {
      before,
      rate: this.#baseline / this.#elapsed,
      settles: 0,
      obeyed: false,
      elapsed: 0,
      answers: 0,
      latency: 0,
      baseline: 0,
    };
  }

  #listen(probe: Probe, { elapsed, answers, latency, baseline, peak }: Window): void {
    if (!probe.obeyed) {
      // What was under way leaves first, and then what still waited behind it.
      probe.obeyed = peak <= this.limit;
      probe.settles = latency / answers;
      return;
    }
    probe.settles -= elapsed;
    if (probe.settles > 0) return;
    probe.elapsed += elapsed;
    probe.answers += answers;
    probe.latency += latency;
    probe.baseline += baseline;
    if (probe.answers < PROBE_ANSWERS && probe.elapsed < PROBE_TIME) return;
    this.#probe = undefined;
    this.#heldFor = 0;
    this.#latency = probe.latency;
    this.#baseline = probe.baseline;
    this.#elapsed = probe.elapsed;
    this.#answers = probe.answers;
    const scale = probe.latency / probe.baseline;
    const rate = probe.baseline / probe.elapsed;
    if (rate >= AS_MUCH * probe.rate && probe.before > MIN) {
      // It does as much with half: stay there, and look again soon.
      this.#scale = Math.min(this.#scale, scale);
      this.#work = Math.min(this.limit, rate * this.#scale);
      this.limit = Math.max(MIN, this.limit);
      this.#probeAfter = FIRST_PROBE;
      this.#floor = MIN;
      return;
    }
    const before = this.#scale;
    const changed = Math.abs(scale / this.#scale - 1) > 0.25;
    // Few answers scatter: half of a small correction, all of a large one.
    if (changed)
      this.#scale = Math.abs(Math.log(scale / this.#scale)) > 1 ? scale : Math.sqrt(scale * this.#scale);
    this.#work = probe.rate * this.#scale;
    this.limit = Math.max(MIN, changed ? Math.min(probe.before, this.#aim()) : probe.before);
    this.#floor = Math.max(MIN, Math.ceil(this.limit / 2));
    if (changed && scale > before) {
      // With half as many under way answers took as long: it was not for waiting that they took long. Up again, quickly.
      this.limit = Math.ceil(probe.before * 1.5);
      this.#floor = probe.before;
    }
    this.#probeAfter = changed
      ? Math.max(FIRST_PROBE, this.#probeAfter / 2)
      : Math.min(RAREST_PROBE, Math.max(1_000, this.#probeAfter * 2));
  }
}
