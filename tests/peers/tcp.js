'use strict'
// npm pomelo-protocol over a TCP socket.

const net = require('net')
const { play } = require('./protocol')

play('tcp', (port, host, ready) => net.connect(port, host, ready))
