import { createDOMRenderer, RendererProvider } from "@fluentui/react-components";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";

const nonce = document.querySelector<HTMLMetaElement>('meta[name="style-nonce"]')?.content;
// The page's policy lets in no styles but files and elements with this answer's nonce.
const renderer = createDOMRenderer(document, { styleElementAttributes: { ...(nonce ? { nonce } : {}) } });

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no #root");
createRoot(root).render(
  <StrictMode>
    <RendererProvider renderer={renderer} targetDocument={document}>
      <App />
    </RendererProvider>
  </StrictMode>,
);
