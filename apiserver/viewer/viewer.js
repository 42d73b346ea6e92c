SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#viewer",
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  docExpansion: "list",
  defaultModelExpandDepth: 3,
  defaultModelsExpandDepth: -1,
  validatorUrl: null,
});
