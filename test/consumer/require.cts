import core = require('@talos/envelope')
import testing = require('@talos/envelope/testing')
import conformance = require('@talos/envelope-conformance')
import dynamodb = require('@talos/envelope-dynamodb')
import express = require('@talos/envelope-express')
import otel = require('@talos/envelope-otel')
import pgBoss = require('@talos/envelope-pg-boss')
import postgres = require('@talos/envelope-postgres')
import redis = require('@talos/envelope-redis')
import sqlite = require('@talos/envelope-sqlite')
import program = require('./program.ts')

void program.tryPackages({
  core,
  testing,
  conformance,
  sqlite,
  postgres,
  redis,
  dynamodb,
  express,
  otel,
  pgBoss,
})
