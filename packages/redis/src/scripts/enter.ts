import { script } from './script.ts'

/**
 * Comes before every write, and changes nothing of what is stored. Whoever is not answered here has sent no write.
 *
 * It makes the keys of a new store, refuses replicas and eviction, and looks whether this is the server that was seen last. If
 * it is not, writes may be lost and the incarnation is renewed, unless the evidence says otherwise:
 *
 * - A `master_replid2` that was not there before is left by a promotion (or by a start from an RDB file): renewed.
 * - The same `run_id`: the process that was there before. It also takes a new `master_replid` when its first replica comes.
 * - Another node of a Cluster, never promoted: the slot was moved, by a command that copies before it deletes.
 * - Another `run_id` otherwise: a restart. It keeps everything only where the last look found the append-only file written
 *   before each answer, and no replica that could have taken over.
 *
 * ARGV: an incarnation in case one is needed; `1` to look at the settings as well; `1` to accept eviction; `1` or `0` for what
 * is known of the append-only file, or nothing; `1` to renew.
 *
 * Answers `ok`, the incarnation, whether a replica is or was there, and with settings: the eviction policy, whether the server
 * is part of a Cluster, whether the append-only file is on.
 */
export const ENTER = script(
  'allow-oom',
  `
local candidate, look, accept, durable, renew = unpack(ARGV)
local replication = call('INFO', 'replication')
if not match(replication, 'role:master') then return { 'replica' } end
local policy, cluster, appending = '', '', ''
if look == '1' then
  local settings = call('INFO', 'memory', 'cluster', 'persistence')
  policy = match(settings, 'maxmemory_policy:([%w-]+)') or 'unknown'
  cluster = match(settings, 'cluster_enabled:(%d)') or '0'
  appending = match(settings, 'aof_enabled:(%d)') or '0'
  if policy ~= 'noeviction' and accept ~= '1' then return { 'policy', policy } end
end
local known = call('HMGET', STORE, 'layout', 'incarnation', 'replid', 'replid2', 'run', 'node', 'durable', 'replicated')
if not known[1] then
  if call('EXISTS', unpack(KEYS, 2)) ~= 0 then return { 'damaged' } end
  for _, key in ipairs({ WRAPS, METAS, SEALED, DOCUMENTS }) do call('HSET', key, '', '') end
  for _, key in ipairs({ NAMES, INDEX }) do call('ZADD', key, 0, '') end
  call('HSET', STORE, 'layout', '1')
elseif known[1] ~= '1' then
  return { 'layout' }
end
local incarnation = known[2] or candidate
local replid = match(replication, 'master_replid:(%w+)') or ''
local replid2 = match(replication, 'master_replid2:(%w+)') or ''
local replicas = tonumber(match(replication, 'connected_slaves:(%d+)') or '0')
if known[3] ~= replid or known[4] ~= replid2 then
  local run = match(call('INFO', 'server'), 'run_id:(%w+)') or ''
  local node = redis.pcall('CLUSTER', 'MYID')
  if type(node) ~= 'string' then node = '' end
  local promoted = match(replid2, '[^0]') and replid2 ~= known[4]
  local kept = run == known[5] or node ~= known[6] or (known[7] == '1' and known[8] ~= '1')
  if known[3] ~= replid and (promoted or not kept) then incarnation = candidate end
  call('HSET', STORE, 'replid', replid, 'replid2', replid2, 'run', run, 'node', node)
end
local replicated = known[8]
if renew == '1' then
  incarnation = candidate
  replicated = '0'
end
if replicas > 0 then replicated = '1' end
replicated = replicated or '0'
if incarnation ~= known[2] then call('HSET', STORE, 'incarnation', incarnation) end
if replicated ~= known[8] then call('HSET', STORE, 'replicated', replicated) end
if durable ~= '' and durable ~= known[7] then call('HSET', STORE, 'durable', durable) end
return { 'ok', incarnation, replicated, policy, cluster, appending }
`,
)
