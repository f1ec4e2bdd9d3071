import { randomBytes } from 'node:crypto'

/** The sizes of values that are measured, as names of ratios spell them. */
export const SIZES: Readonly<Record<string, number>> = { '64B': 64, '1KiB': 1024, '64KiB': 65_536 }

/** What a gateway binds the credential of an upstream to. */
export type SampleContext = Readonly<Record<'name' | 'namespace', string>>

/**
 * Makes the context of one of many secrets.
 *
 * @param index - Its number.
 * @returns A context whose encoded length is the same for all numbers below 10,000.
 */
export function sampleContext(index: number): SampleContext {
  return { name: `upstream-${String(index).padStart(4, '0')}/prod`, namespace: 'gateway' }
}

/**
 * Makes a value that looks like a credential: text that does not compress into a pattern.
 *
 * @param size - Its length in characters and bytes.
 * @returns The text.
 */
export function sampleValue(size: number): string {
  return randomBytes(size).toString('base64url').slice(0, size)
}

/**
 * Makes bytes of the length that the context has as additional authenticated data in `talos:v2`, so that the
 * floor works on as much as the codec does.
 *
 * @param context - A context.
 * @returns `PAE("talos-envelope", "v2", 00 01, "data", PAE(k1, v1, ...))`.
 */
export function sampleInfo(context: SampleContext): Buffer {
  const pairs = Object.entries(context).flat()
  return pae(['talos-envelope', 'v2', '\0\x01', 'data', pae(pairs)])
}

function pae(parts: readonly (string | Buffer)[]): Buffer {
  const withLengths = parts.flatMap((part) => [u32(Buffer.byteLength(part)), Buffer.from(part as string)])
  return Buffer.concat([u32(parts.length), ...withLengths])
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
