/** Texts that name values, `${unit}`, and texts that come from elsewhere made fit to be shown. Pure. */

const PLACE = /\$\{([^${}]{1,63})\}/g;

/** What has no value stays as it is written. */
export function fill(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(PLACE, (all, name: string) => {
    const key = name.trim();
    return Object.hasOwn(values, key) ? values[key]! : all;
  });
}

/** Names that a text has places for. */
export function placesOf(text: string): string[] {
  return [...text.matchAll(PLACE)].map(([, name]) => name!.trim());
}

/** Control characters, line ends, and what turns the direction of a text or hides in it. */
const UNREADABLE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]+/g;

/** One line, and not for ever. */
export function oneLine(text: string, most = 300): string {
  const clean = text.toWellFormed().replace(UNREADABLE, " ").trim();
  return clean.length > most
    ? `${clean
        .slice(0, most - 1)
        .toWellFormed()
        .replace(/\ufffd$/, "")}…`
    : clean;
}
