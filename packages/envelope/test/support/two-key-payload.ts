import { createCipheriv } from 'node:crypto'

/**
 * Blocks of GCM as polynomials over GF(2) modulo x^128 + x^7 + x^2 + x + 1: the coefficient of x^0 is the highest bit
 * (NIST SP 800-38D section 6.3).
 */
const REDUCTION = 0xe1n << 120n
const ONE = 1n << 127n

function multiply(left: bigint, right: bigint): bigint {
  let product = 0n
  let shifted = right
  for (let bit = 127n; bit >= 0n; bit--) {
    if ((left >> bit) & 1n) product ^= shifted
    shifted = shifted & 1n ? (shifted >> 1n) ^ REDUCTION : shifted >> 1n
  }
  return product
}

function power(base: bigint, exponent: bigint): bigint {
  let result = ONE
  for (let square = base, rest = exponent; rest > 0n; rest >>= 1n, square = multiply(square, square)) {
    if (rest & 1n) result = multiply(result, square)
  }
  return result
}

/** The inverse of every element but zero. */
function invert(element: bigint): bigint {
  return power(element, (1n << 128n) - 2n)
}

function toNumber(block: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(block).toString('hex')}`)
}

function toBlock(number: bigint): Buffer {
  return Buffer.from(number.toString(16).padStart(32, '0'), 'hex')
}

function encryptBlock(key: Uint8Array, block: Uint8Array): Buffer {
  return createCipheriv('aes-256-ecb', key, null).setAutoPadding(false).update(block)
}

function counterBlock(nonce: Uint8Array, counter: number): Buffer {
  const block = Buffer.concat([nonce, Buffer.alloc(4)])
  block.writeUInt32BE(counter, 12)
  return block
}

function blocksOf(bytes: Uint8Array): bigint[] {
  const padded = Buffer.concat([bytes, Buffer.alloc(-bytes.length & 15)])
  return Array.from({ length: padded.length / 16 }, (_, index) => {
    return toNumber(padded.subarray(index * 16, index * 16 + 16))
  })
}

function encryptAt(key: Uint8Array, nonce: Uint8Array, counter: number, plaintext: Uint8Array): Buffer {
  const stream = encryptBlock(key, counterBlock(nonce, counter))
  return Buffer.from(plaintext.map((byte, index) => byte ^ (stream[index] as number)))
}

/** GHASH under both keys, its difference, for these blocks with the last one at H^1. */
function differenceOf(blocks: readonly bigint[], first: bigint, second: bigint): bigint {
  return blocks.reduce((sum, block, index) => {
    const exponent = BigInt(blocks.length - index)
    return sum ^ multiply(block, power(first, exponent) ^ power(second, exponent))
  }, 0n)
}

/**
 * Builds a payload that AES-256-GCM accepts under two keys (an *invisible salamander*). GHASH is linear in every block
 * of the ciphertext, so one free block makes the tags of both keys equal.
 *
 * @param keys - Two keys of 32 bytes.
 * @param nonce - 12 bytes.
 * @param aad - The same for both.
 * @param openings - 16 bytes for each key: the first key opens to a value that begins with the first one, the second
 * key to a value whose second block is the second one.
 * @returns `nonce(12) || ciphertext(48) || tag(16)`.
 */
export function twoKeyPayload(
  keys: readonly [Uint8Array, Uint8Array],
  nonce: Uint8Array,
  aad: Uint8Array,
  openings: readonly [Uint8Array, Uint8Array],
): Buffer {
  const chosen = [encryptAt(keys[0], nonce, 2, openings[0]), encryptAt(keys[1], nonce, 3, openings[1])]
  const lengths = (BigInt(aad.length * 8) << 64n) | BigInt(48 * 8)
  const [first, second] = keys.map((key) => toNumber(encryptBlock(key, Buffer.alloc(16)))) as [bigint, bigint]
  const [firstMask, secondMask] = keys.map((key) => encryptBlock(key, counterBlock(nonce, 1))) as [
    Buffer,
    Buffer,
  ]
  const blocks = [...blocksOf(aad), ...chosen.map(toNumber), 0n, lengths]
  const wanted = toNumber(firstMask) ^ toNumber(secondMask) ^ differenceOf(blocks, first, second)
  const free = multiply(wanted, invert(power(first, 2n) ^ power(second, 2n)))
  blocks[blocks.length - 2] = free
  const hash = blocks.reduce((sum, block) => multiply(sum ^ block, first), 0n)
  return Buffer.concat([nonce, ...chosen, toBlock(free), toBlock(hash ^ toNumber(firstMask))])
}
