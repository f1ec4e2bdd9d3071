/** The characters a token may have: what a header can carry without quoting or decoding. */
export const TOKEN_CHARACTERS = /^[\x21-\x7e]+$/

/** The fewest and the most characters of a token. */
export const TOKEN_LENGTH = { least: 32, most: 512 } as const

/** What examples and templates put where a token belongs, in small letters and without separators. */
const PLACEHOLDERS = [
  'changeit',
  'changeme',
  'changethis',
  'insertyour',
  'notarealtoken',
  'placeholder',
  'replaceme',
  'replacethis',
  'replacewith',
  'secrettoken',
  'supersecret',
  'tokenhere',
  'youradmintoken',
  'yourroottoken',
  'yoursecret',
  'yourtoken',
]
/** Words that come up by chance in random letters: they count as the first word only. */
const FIRST_WORD = /^(example|fixme|password|todo|your)[^a-z0-9]/i
/** A random token of 32 digits has fewer different characters once in ten million; of any other alphabet, never. */
const FEWEST_CHARACTERS = 6

/**
 * Says what is wrong with a token as a secret.
 *
 * @returns Words that never quote the token, or `null` when nothing is wrong.
 */
export function tokenFault(token: string): string | null {
  if (token === '') return 'is empty'
  if (token.length < TOKEN_LENGTH.least) return `has fewer than ${TOKEN_LENGTH.least} characters`
  if (token.length > TOKEN_LENGTH.most) return `has more than ${TOKEN_LENGTH.most} characters`
  if (!TOKEN_CHARACTERS.test(token)) {
    return 'has a character that a header cannot carry: a space, a line break or one outside ASCII'
  }
  if (isPlaceholder(token)) return 'is a placeholder, not a secret'
  return null
}

function isPlaceholder(token: string): boolean {
  const letters = token.toLowerCase().replace(/[^a-z0-9]/g, '')
  if (FIRST_WORD.test(token) || PLACEHOLDERS.some((word) => letters.includes(word))) return true
  return new Set(token).size < FEWEST_CHARACTERS || isRepetition(token) || isSequence(token)
}

/** Whether the token is one text of at most half its length again and again; the last time it may be cut off. */
function isRepetition(token: string): boolean {
  for (let length = 1; length <= token.length / 2; length++) {
    if (token.startsWith(token.slice(length))) return true
  }
  return false
}

/** Whether most characters follow their neighbour in the alphabet: `abcdef…`, `0123456789abcdef…`. */
function isSequence(token: string): boolean {
  let steps = 0
  for (let at = 1; at < token.length; at++) {
    if (Math.abs(token.charCodeAt(at) - token.charCodeAt(at - 1)) <= 1) steps++
  }
  return steps > (token.length * 2) / 3
}
