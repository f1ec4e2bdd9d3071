import { Pool } from 'pg'
import { expect, it } from 'vitest'
import { service } from '../../../../test/services/service.ts'
import { textArray } from '../../src/text-array.ts'

const PARTS = [
  'a',
  '"',
  '\\',
  '\n',
  '\t',
  '\u0001',
  '\u007f',
  '\u2028',
  '{',
  '}',
  ',',
  ' ',
  'é',
  '🔑',
  'null',
]

it('is read by PostgreSQL as the texts it was made of', async () => {
  const pairs = PARTS.flatMap((first) => PARTS.map((second) => first + second))
  const texts = ['', null, ...PARTS, ...pairs, ...pairs.map((pair) => JSON.stringify({ pair }))]
  const pool = new Pool({ connectionString: await service('postgres-18') })
  try {
    const read = async (some: typeof texts) =>
      (await pool.query('SELECT $1::text[] AS texts', [textArray(some)])).rows[0].texts
    expect(await read(texts)).toEqual(texts)
    for (const text of texts) expect(await read([text])).toEqual([text])
  } finally {
    await pool.end()
  }
})
