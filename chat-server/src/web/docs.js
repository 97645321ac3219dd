// The page of `/api/docs`: has Swagger UI, which the page has loaded before, draw the document of this server.

SwaggerUIBundle({
  url: '/api/openapi.json',
  dom_id: '#calls',
  deepLinking: true,
  displayOperationId: true,
  // Nobody else is asked whether the document is good.
  validatorUrl: null,
  // The calls are what a reader comes for; the schemas stand below them, folded.
  docExpansion: 'list',
  defaultModelsExpandDepth: 0,
});
