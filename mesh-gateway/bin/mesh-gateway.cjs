#!/usr/bin/env node
/** The command mesh-gateway, once Node is known to be new enough for it. */
'use strict'

const needNode = require('@clawmesh/proto/need-node')
const { engines } = require('../package.json')

if (needNode('mesh-gateway', engines.node)) import('../src/cli/main.ts')
