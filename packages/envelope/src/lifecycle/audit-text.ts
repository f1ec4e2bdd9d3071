const MOST_DETAILS = 16
/** Of texts that the engine gives. With the longest reason and actor an event still stays below 16 KiB of UTF-8. */
const OWN_CHARACTERS = 128
const NAME_CHARACTERS = 32
/** Controls, line separators and what changes the direction of text: with these a line can pose as another one. */
const UNFIT = /[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu

/**
 * Checks a text that somebody gave for the audit trail. It is refused when it does not fit, never altered: it may be asked
 * for in evidence.
 *
 * @param what - How the text is called in the message.
 * @param most - Characters it may have.
 * @throws TypeError that does not carry the text.
 */
export function checkAuditText(what: string, text: unknown, most: number): void {
  if (text === undefined || text === null) return
  if (typeof text !== 'string' || text.length > most || text.search(UNFIT) !== -1) {
    const count = most.toLocaleString('en')
    throw new TypeError(
      `${what} is a text of at most ${count} characters, without control characters and line breaks.`,
    )
  }
}

/** Makes a text that the engine gives fit: it must not keep a promotion from being recorded. */
export function fit(text: string, most = OWN_CHARACTERS): string {
  return text
    .slice(0, most)
    .replace(UNFIT, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`)
    .slice(0, most)
    .toWellFormed()
}

/** Does so for details. Of too many the last stay, which are the trail's own. */
export function fitDetails<V>(details: Readonly<Record<string, V>>): Readonly<Record<string, V | string>> {
  const pairs = Object.entries(details).slice(-MOST_DETAILS)
  return Object.freeze(
    Object.fromEntries(
      pairs.map(([name, value]) => [
        fit(name, NAME_CHARACTERS),
        typeof value === 'string' ? fit(value) : value,
      ]),
    ),
  )
}
