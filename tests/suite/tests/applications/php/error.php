<?php
missing_function();
