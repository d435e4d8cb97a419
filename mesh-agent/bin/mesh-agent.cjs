#!/usr/bin/env node
/** The command mesh-agent, once Node is known to be new enough for it. */
'use strict'

const needNode = require('@clawmesh/proto/need-node')
const { engines } = require('../package.json')

if (needNode('mesh-agent', engines.node)) import('../src/cli/main.ts')
