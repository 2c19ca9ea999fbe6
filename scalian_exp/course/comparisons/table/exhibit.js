import { exhibit } from "../../../exhibits/frame/kit.js";

exhibit("table", () => ({}));
