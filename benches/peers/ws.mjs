// `node ws.mjs [PORT]` — plain `ws`: everybody in the room gets every text frame as it came, the sender included. Nothing
// is checked or kept.

import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';
import { listen } from './listen.mjs';

const rooms = new Map();
const server = createServer();
const sockets = new WebSocketServer({ server, path: '/ws', perMessageDeflate: false });

sockets.on('connection', (socket, request) => {
  const name = new URL(request.url, 'http://localhost').searchParams.get('room');
  if (!rooms.has(name)) rooms.set(name, new Set());
  const room = rooms.get(name).add(socket);
  socket.on('message', (payload) => {
    // The bytes are sent on as they came; nothing is made per member but the frame's header.
    for (const member of room) member.send(payload, { binary: false });
  });
  socket.on('close', () => room.delete(socket));
  // Whoever is cut off is closed next, which is all that there is to do.
  socket.on('error', () => {});
});

listen(server);
