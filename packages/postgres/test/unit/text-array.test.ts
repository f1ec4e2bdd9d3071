import { expect, it } from 'vitest'
import { textArray } from '../../src/text-array.ts'

it.each([
  [[], '{}'],
  [['plain', null, ''], '{"plain",null,""}'],
  [['{"a":"b"}', '\\'], '{"{\\"a\\":\\"b\\"}","\\\\"}'],
  [['line\nbreak', '\u001f', null, 'a"b\\n'], '{"line\nbreak","\u001f",NULL,"a\\"b\\\\n"}'],
  [['é', '\u{1F511}', '\u2028', 'null', 'NULL'], '{"é","\u{1F511}","\u2028","null","NULL"}'],
])('writes %j as PostgreSQL reads it', (texts, written) => {
  expect(textArray(texts)).toBe(written)
})
