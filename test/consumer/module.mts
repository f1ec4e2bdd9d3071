import * as core from '@talos/envelope'
import * as testing from '@talos/envelope/testing'
import * as conformance from '@talos/envelope-conformance'
import * as dynamodb from '@talos/envelope-dynamodb'
import * as express from '@talos/envelope-express'
import * as otel from '@talos/envelope-otel'
import * as pgBoss from '@talos/envelope-pg-boss'
import * as postgres from '@talos/envelope-postgres'
import * as redis from '@talos/envelope-redis'
import * as sqlite from '@talos/envelope-sqlite'
import { tryPackages } from './program.ts'

await tryPackages({ core, testing, conformance, sqlite, postgres, redis, dynamodb, express, otel, pgBoss })
