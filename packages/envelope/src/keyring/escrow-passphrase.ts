import { utf8 } from '../bytes.ts'

const FEWEST_CHARACTERS = 16
const MOST_CHARACTERS = 1_024
const FEWEST_DISTINCT = 8

/**
 * Finds what makes a passphrase unfit to seal with. It cannot be shown to be hard to guess; this finds the ones that are
 * not, and the ones that would not be typed alike again.
 *
 * @param passphrase - As given.
 * @returns Every fault, none of which holds the passphrase or a part of it.
 */
export function passphraseFaults(passphrase: string): readonly string[] {
  const characters = [...passphrase.normalize('NFC')]
  const faults: string[] = []
  if (characters.length < FEWEST_CHARACTERS || characters.length > MOST_CHARACTERS) {
    faults.push(`has ${characters.length} characters: give ${FEWEST_CHARACTERS} to ${MOST_CHARACTERS}`)
  }
  if (new Set(characters).size < FEWEST_DISTINCT) {
    faults.push(`has fewer than ${FEWEST_DISTINCT} different characters`)
  }
  if (/\p{C}/u.test(passphrase)) {
    faults.push('has characters that cannot be seen or typed, such as a newline: remove them')
  }
  if (passphrase.trim() !== passphrase) faults.push('begins or ends with white space: remove it')
  return faults
}

/**
 * Encodes a passphrase for scrypt: Unicode's normalization form C, then UTF-8. Without it `é` would be one passphrase on
 * one keyboard and another one on the next.
 *
 * @param passphrase - Any well-formed text.
 * @returns The bytes, to be cleared by the caller.
 * @throws TypeError when the text holds a lone surrogate.
 */
export function passphraseBytes(passphrase: string): Uint8Array {
  return utf8(passphrase.normalize('NFC'))
}
