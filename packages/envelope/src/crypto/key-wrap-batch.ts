import { type Cipher, createCipheriv, createDecipheriv, type Decipher } from 'node:crypto'
import { unwrapKeyBytes, wrapKeyBytes } from './key-wrap.ts'
import type { SecretKey } from './secret-key.ts'

/** Semiblocks of 64 bits in a DEK, and steps over them: six for each (RFC 3394 section 2.2). */
const SEMIBLOCKS = 4
const STEPS = 6 * SEMIBLOCKS

const SEMIBLOCK_BYTES = 8
const DEK_BYTES = SEMIBLOCKS * SEMIBLOCK_BYTES
const WRAPPED_BYTES = DEK_BYTES + SEMIBLOCK_BYTES

/** What AES works on: the integrity check of one key, then one of its registers. */
const BLOCK_BYTES = 16

/** Half of the default initial value (RFC 3394 section 2.2.3.1). */
const INITIAL_WORD = 0xa6a6a6a6

/**
 * From here on RFC 3394's rounds over one AES-ECB context take less time than as many calls of OpenSSL's own
 * key wrap, which does not use the processor's AES instructions: about a twentieth at 1,000 keys.
 */
const WORTHWHILE = 6

/**
 * Wraps many DEKs with AES-256-KW (RFC 3394).
 *
 * @param kek - A key of 32 bytes.
 * @param deks - Any number of DEKs of 32 bytes.
 * @returns 40 bytes for each, in order; the same as one by one.
 */
export function wrapKeyBatch(kek: SecretKey, deks: readonly Uint8Array[]): Uint8Array[] {
  if (!isBatch(deks, DEK_BYTES)) return deks.map((dek) => wrapKeyBytes(kek, dek))
  const cipher = createCipheriv('aes-256-ecb', kek, null).setAutoPadding(false)
  const joined = join(deks, DEK_BYTES)
  const registers = loadRegisters(joined, DEK_BYTES, 0)
  clear(joined)
  let checks = viewOf(new Uint8Array(deks.length * BLOCK_BYTES).fill(0xa6))
  for (let step = 1; step <= STEPS; step++) checks = runStep(cipher, registers, step, checks, step - 1)
  const wrapped = viewOf(new Uint8Array(deks.length * WRAPPED_BYTES))
  moveSemiblocks(checks, 0, BLOCK_BYTES, wrapped, 0, WRAPPED_BYTES, STEPS)
  storeRegisters(registers, wrapped, WRAPPED_BYTES, SEMIBLOCK_BYTES)
  return split(wrapped, WRAPPED_BYTES)
}

/**
 * Unwraps many DEKs.
 *
 * @param kek - A key of 32 bytes.
 * @param wrapped - Any number of wrapped DEKs of 40 bytes.
 * @returns For each, in order, 32 bytes or `null` when its check of 64 bits fails.
 */
export function unwrapKeyBatch(kek: SecretKey, wrapped: readonly Uint8Array[]): (Uint8Array | null)[] {
  if (!isBatch(wrapped, WRAPPED_BYTES)) return wrapped.map((each) => unwrapKeyBytes(kek, each))
  const decipher = createDecipheriv('aes-256-ecb', kek, null).setAutoPadding(false)
  const joined = join(wrapped, WRAPPED_BYTES)
  const registers = loadRegisters(joined, WRAPPED_BYTES, SEMIBLOCK_BYTES)
  let checks = viewOf(new Uint8Array(wrapped.length * BLOCK_BYTES))
  moveSemiblocks(joined, 0, WRAPPED_BYTES, checks, 0, BLOCK_BYTES, 0)
  for (let step = STEPS; step >= 1; step--) checks = runStep(decipher, registers, step, checks, step)
  const unwrapped = viewOf(new Uint8Array(wrapped.length * DEK_BYTES))
  storeRegisters(registers, unwrapped, DEK_BYTES, 0)
  const deks = split(unwrapped, DEK_BYTES).map((dek, index) => {
    const block = index * BLOCK_BYTES
    // Both words are looked at whatever the first one is.
    const difference = (checks.getInt32(block) ^ INITIAL_WORD) | (checks.getInt32(block + 4) ^ INITIAL_WORD)
    if (difference === 0) return dek
    dek.fill(0)
    return null
  })
  for (const blocks of registers) clear(blocks)
  return deks
}

/** A key of another length would reach into its neighbours. */
function isBatch(keys: readonly Uint8Array[], keyBytes: number): boolean {
  return keys.length >= WORTHWHILE && keys.every(({ length }) => length === keyBytes)
}

/**
 * One AES call for all keys: a register's blocks, with the checks put in front, become the next ones. The step
 * number `t` goes into a check after a step when wrapping, which is before the next one, and before a step
 * when unwrapping.
 */
function runStep(
  cipher: Cipher | Decipher,
  registers: DataView[],
  step: number,
  checks: DataView,
  t: number,
): DataView {
  const register = (step - 1) % SEMIBLOCKS
  const blocks = registers[register] as DataView
  moveSemiblocks(checks, 0, BLOCK_BYTES, blocks, 0, BLOCK_BYTES, t)
  const next = viewOf(cipher.update(blocks))
  clear(blocks)
  registers[register] = next
  return next
}

/** The registers R1 to R4 of all keys, each in the second half of its blocks. */
function loadRegisters(keys: DataView, keyBytes: number, start: number): DataView[] {
  const blocksLength = (keys.byteLength / keyBytes) * BLOCK_BYTES
  return Array.from({ length: SEMIBLOCKS }, (_, register) => {
    const blocks = viewOf(new Uint8Array(blocksLength))
    const from = start + register * SEMIBLOCK_BYTES
    moveSemiblocks(keys, from, keyBytes, blocks, SEMIBLOCK_BYTES, BLOCK_BYTES, 0)
    return blocks
  })
}

function storeRegisters(
  registers: readonly DataView[],
  keys: DataView,
  keyBytes: number,
  start: number,
): void {
  for (const [register, blocks] of registers.entries()) {
    const to = start + register * SEMIBLOCK_BYTES
    moveSemiblocks(blocks, SEMIBLOCK_BYTES, BLOCK_BYTES, keys, to, keyBytes, 0)
  }
}

/**
 * Copies one semiblock of each key, XORed with a number of 64 bits, big-endian, of which only the last byte may
 * be other than 0. As words and not as bytes or subarrays: this is most of what a batch costs.
 */
function moveSemiblocks(
  source: DataView,
  from: number,
  sourceStride: number,
  target: DataView,
  to: number,
  targetStride: number,
  t: number,
): void {
  const end = source.byteLength
  for (let at = from, there = to; at < end; at += sourceStride, there += targetStride) {
    target.setUint32(there, source.getUint32(at))
    target.setUint32(there + 4, source.getUint32(at + 4) ^ t)
  }
}

function join(keys: readonly Uint8Array[], keyBytes: number): DataView {
  const joined = new Uint8Array(keys.length * keyBytes)
  for (const [index, key] of keys.entries()) joined.set(key, index * keyBytes)
  return viewOf(joined)
}

function split({ buffer, byteOffset, byteLength }: DataView, keyBytes: number): Uint8Array[] {
  const keys: Uint8Array[] = []
  for (let start = 0; start < byteLength; start += keyBytes) {
    keys.push(new Uint8Array(buffer, byteOffset + start, keyBytes))
  }
  return keys
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength)
}

function clear({ buffer, byteOffset, byteLength }: DataView): void {
  new Uint8Array(buffer, byteOffset, byteLength).fill(0)
}
