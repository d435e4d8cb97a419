/** `npm start`, once Node is known to be new enough for it. */
'use strict'

// by its path: it is there before `npm ci` is
const needNode = require('../proto/need-node.cjs')
const { engines } = require('../package.json')

if (needNode('start', engines.node)) import('./start.ts')
