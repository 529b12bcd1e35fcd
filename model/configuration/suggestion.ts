/** "Did you mean": the closest of the names that would have been right. */

/** Names longer than this are no typing mistake. */
const LONGEST = 64;
const MOST_CANDIDATES = 4096;

/** `; did you mean \`x\`?`, or nothing when no name is close. */
export function didYouMean(given: string, names: Iterable<string>): string {
  const name = closest(given, names);
  return name === undefined ? "" : `; did you mean \`${name}\`?`;
}

/** At most a third of the letters may differ, and at least one may. */
export function closest(given: string, names: Iterable<string>): string | undefined {
  if (given.length > LONGEST) return undefined;
  const wanted = given.toLowerCase();
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(given.length / 3)) + 1;
  let seen = 0;
  for (const name of names) {
    if (++seen > MOST_CANDIDATES) break;
    if (Math.abs(name.length - given.length) >= bestDistance) continue;
    const distance = editDistance(wanted, name.toLowerCase());
    // One letter for one other letter is a different name, not a mistyped one.
    if (distance < bestDistance && (distance < Math.max(given.length, name.length) || distance === 0)) {
      best = name;
      bestDistance = distance;
    }
  }
  return best;
}

/** Optimal string alignment: insertions, deletions, substitutions, and neighbours exchanged. */
function editDistance(a: string, b: string): number {
  let twoBack: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, twoBack[j - 2]! + 1);
      }
      row.push(cost);
    }
    twoBack = previous;
    previous = row;
  }
  return previous[b.length]!;
}
