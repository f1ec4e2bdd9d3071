/**
 * Key bytes and a secret that tests use where a leak would matter. `scripts/test.mjs` fails a run that prints one of
 * them in any of the spellings below, so a message, a log line or a rendered object that carries key material is found
 * even where no test looks for it.
 */
import { Buffer } from 'node:buffer'

export const CANARY_KEK: Uint8Array = bytesOfHex(
  'c5dedf70bd87deef976e30cb070ef7b6c9cf0ec834c347b3d61fe579d2d929a5',
)
export const CANARY_DEK: Uint8Array = bytesOfHex(
  '51af168a78eb554b27155a7902449aab508da2add0d991ed6c960a3d240d583c',
)
export const CANARY_SECRET = 'sk-canary-kNcmUrA2ODonMQxlpyuDTfJz99cyESA'

function bytesOfHex(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'))
}

/** In the middle of other bytes, base64 spells the same bytes in three ways; each has a stretch nothing else decides. */
function base64Stretches(bytes: Uint8Array): string[] {
  return [0, 1, 2].map((offset) => {
    const shifted = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64')
    return shifted.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + bytes.length) * 8) / 6))
  })
}

/** Eight bytes from the middle as arrays and typed arrays are rendered: `129, 7`, `"16":129,"17":7`, one a line. */
function asNumbers(bytes: Uint8Array): RegExp {
  const middle = Math.floor((bytes.length - 8) / 2)
  const between = '(?:[^0-9]{1,16}(?:[0-9]{1,3}"?:[^0-9]{0,3})?)'
  return new RegExp(`(?<![0-9])${[...bytes.slice(middle, middle + 8)].join(between)}(?![0-9])`)
}

const CANARIES: readonly (readonly [name: string, bytes: Uint8Array])[] = [
  ['kek', CANARY_KEK],
  ['dek', CANARY_DEK],
  ['secret', Buffer.from(CANARY_SECRET)],
]

/**
 * Looks for the canaries in printed text: raw, hex, base64 (also inside longer values), base64url and as lists of
 * numbers.
 *
 * @param text - What was printed, decoded as UTF-8 or as Latin-1; terminal colours removed.
 * @returns One line per finding, such as `kek as hex`; never the value itself.
 */
export function findCanaries(text: string): string[] {
  // `<Buffer c5 de …>` and `c5:de:…` are hex as well.
  const joined = text.replace(/[\s:]+/g, '')
  const joinedLower = joined.toLowerCase()
  const findings: string[] = []
  for (const [name, bytes] of CANARIES) {
    const buffer = Buffer.from(bytes)
    const stretches = base64Stretches(bytes)
    const spellings: Record<string, boolean> = {
      'raw bytes': text.includes(buffer.toString('latin1')) || text.includes(buffer.toString('utf8')),
      hex: joinedLower.includes(buffer.toString('hex')),
      base64: stretches.some((stretch) => joined.includes(stretch)),
      base64url: stretches.some((stretch) =>
        joined.includes(stretch.replaceAll('+', '-').replaceAll('/', '_')),
      ),
      numbers: asNumbers(bytes).test(text),
    }
    for (const [spelling, found] of Object.entries(spellings))
      if (found) findings.push(`${name} as ${spelling}`)
  }
  return findings
}
