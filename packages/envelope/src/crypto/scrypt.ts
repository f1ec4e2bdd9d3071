import { scrypt } from 'node:crypto'
import { KEY_BYTES } from './random.ts'

/** What one derivation costs: `128 · r · N` bytes of memory, passed over `p` times (RFC 7914 section 2). */
const BLOCK_SIZE = 8
const PARALLELIZATION = 1

/**
 * Derives a key from a passphrase with scrypt (RFC 7914), r = 8 and p = 1, in a thread of the pool and not on the event loop.
 *
 * @param passphrase - Any bytes. The caller clears them when the promise has settled.
 * @param salt - Fresh for each key.
 * @param costLog2 - The base-2 logarithm of N: 17 takes 128 MiB and each one more doubles that, and the time.
 * @param signal - Ends the wait. What the thread still computes is cleared and dropped: it cannot be stopped.
 * @returns 32 bytes, to be cleared by the caller.
 */
export async function deriveFromPassphrase(
  passphrase: Uint8Array,
  salt: Uint8Array,
  costLog2: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  signal?.throwIfAborted()
  const N = 2 ** costLog2
  // Node refuses to take more than 32 MiB unless told; twice what is needed leaves room for the blocks beside it.
  const options = { N, r: BLOCK_SIZE, p: PARALLELIZATION, maxmem: 2 * 128 * BLOCK_SIZE * N }
  return await new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal?.reason)
    signal?.addEventListener('abort', onAbort)
    scrypt(passphrase, salt, KEY_BYTES, options, (error, key) => {
      signal?.removeEventListener('abort', onAbort)
      if (error !== null) return reject(error)
      if (signal?.aborted === true) key.fill(0)
      return resolve(key)
    })
  })
}
