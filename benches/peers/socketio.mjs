// `node socketio.mjs [PORT]` — Socket.IO 4: joins a room that the client names, and hands each `message` to everybody in
// it, the sender included.

import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { listen } from './listen.mjs';

const server = createServer();
const io = new Server(server, {
  transports: ['websocket'],
  perMessageDeflate: false,
  httpCompression: false,
  serveClient: false,
  // No ping falls into what is measured.
  pingInterval: 300_000,
});

// Its manual names this as a way to save memory: the request is not needed after the handshake.
io.engine.on('connection', (connection) => (connection.request = null));

io.on('connection', (socket) => {
  socket.on('join', (room) => {
    socket.data.room = String(room);
    socket.join(socket.data.room);
    socket.emit('joined');
  });
  socket.on('message', (message) => io.to(socket.data.room).emit('message', message));
});

listen(server);
