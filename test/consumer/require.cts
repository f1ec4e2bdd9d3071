import core = require('@talos/envelope')
import testing = require('@talos/envelope/testing')
import conformance = require('@talos/envelope-conformance')
import express = require('@talos/envelope-express')
import postgres = require('@talos/envelope-postgres')
import sqlite = require('@talos/envelope-sqlite')
import program = require('./program.ts')

void program.tryPackages({ core, testing, conformance, sqlite, postgres, express })
