// How both servers here listen, and say so to whoever started them.

/** Listens at the port that was given as the first argument, or at a free one. */
export function listen(server) {
  const port = Number(process.argv[2] ?? 0);
  server.listen({ port, host: '127.0.0.1', backlog: 4_096 }, () => {
    console.log(`listening on 127.0.0.1:${server.address().port}`);
  });
}
