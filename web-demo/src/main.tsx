/** The page's entry: mounts the dashboard under the SDK's provider. */
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App.tsx";
import "./styles.css";

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no #root to mount the page in");
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
