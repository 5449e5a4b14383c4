"""What a crawl still costs, and on which day it will be done."""
