import { createHash } from 'node:crypto'

/** A Lua script as Redis keeps it. */
export interface Script {
  readonly source: string
  /** SHA-1 of the source in hex, by which Redis knows it. */
  readonly sha: string
}

/**
 * Puts a script together. Its body finds the keys as `STORE`, `NAMES`, `WRAPS`, `METAS`, `SEALED`, `DOCUMENTS` and `INDEX`, and
 * answers a table of which the first element is a status.
 *
 * @param flags - What Redis may let it do: `no-writes` runs while writes are refused, `allow-oom` while memory is full.
 */
export function script(flags: string, body: string): Script {
  // Redis 7.0 lacks `os` in scripts; in later versions TIME stands still while a script runs.
  const source = `#!lua${flags === '' ? '' : ` flags=${flags}`}
local STORE, NAMES, WRAPS, METAS, SEALED, DOCUMENTS, INDEX = unpack(KEYS)
local call, match, sub = redis.call, string.match, string.sub
local function millis()
  local time = call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local system = rawget(_G, 'os')
local function clock()
  if system then return system.clock() * 1000 end
  local time = call('TIME')
  return tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000
end
${body.trim()}
`
  return { source, sha: createHash('sha1').update(source).digest('hex') }
}

/**
 * Begins a script that changes or reads records: answers `absent` for a store that nobody has written to, and refuses keys that
 * were lost or belong to something else. Every hash and set has an empty field that never goes away: so a key that was evicted
 * is told from an empty one, and all keys are there when their slot is moved.
 */
export const OPENED = `
local layout = call('HGET', STORE, 'layout')
if not layout then
  return { call('EXISTS', unpack(KEYS, 2)) == 0 and 'absent' or 'damaged' }
end
if layout ~= '1' then return { 'layout' } end
if call('HEXISTS', WRAPS, '') + call('HEXISTS', METAS, '') + call('HEXISTS', DOCUMENTS, '') ~= 3
  or not call('ZSCORE', NAMES, '') or not call('ZSCORE', INDEX, '') or call('HLEN', WRAPS) ~= call('ZCARD', NAMES) then
  return { 'damaged' }
end
`

/** Goes on in a script that only reads: what a replica knows may be old. */
export const PRIMARY = `
if not match(call('INFO', 'replication'), 'role:master') then return { 'replica' } end
`
