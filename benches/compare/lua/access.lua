require("guard").access()
