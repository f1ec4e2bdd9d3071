import { concat, u32 } from '../bytes.ts'

/**
 * Encodes byte strings so that no two lists of them give the same bytes:
 * `PAE(p1 .. pn) = u32(n) || for each part: u32(length) || bytes`.
 *
 * @param parts - The parts, in order.
 * @returns The encoding.
 */
export function encodePae(parts: readonly Uint8Array[]): Uint8Array {
  return concat([u32(parts.length), ...parts.flatMap((part) => [u32(part.length), part])])
}
